//! What `doveconf -n` prints, as blocks with settings.

/// A `name { … }` of a configuration.
#[derive(Debug, Default)]
pub struct Block<'a> {
    /// `passdb`, `passdb pam`
    pub head: &'a str,
    /// The heads of those around it, the outermost first.
    pub around: Vec<&'a str>,
    /// Its own settings.
    pub settings: Vec<(&'a str, &'a str)>,
}

impl<'a> Block<'a> {
    /// Returns the value of a setting.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        let mut all = self.settings.iter();
        all.find(|(own, _)| *own == name).map(|(_, value)| *value)
    }

    /// Returns the name after `passdb`, which 2.4 demands.
    pub fn name(&self) -> &'a str {
        self.head.split_once(' ').map_or("", |(_, name)| name)
    }

    /// Returns whether it is a passdb.
    pub fn is_passdb(&self) -> bool {
        self.head.split(' ').next() == Some("passdb")
    }

    /// Returns the driver; 2.4 takes the name for it.
    pub fn driver(&self) -> &'a str {
        self.value("driver").unwrap_or_else(|| self.name())
    }
}

/// Returns all blocks of a configuration; the first is the configuration itself.
pub fn blocks(config: &str) -> Vec<Block<'_>> {
    let mut all = vec![Block::default()];
    let mut open = vec![0];
    for line in config.lines().map(str::trim) {
        let innermost = open.last().copied().unwrap_or_default();
        if let Some((name, value)) = line.split_once(" =") {
            all[innermost].settings.push((name, value.trim()));
        } else if let Some(head) = line.strip_suffix(" {") {
            let around = open[1..].iter().map(|at| all[*at].head).collect();
            open.push(all.len());
            all.push(Block {
                head,
                around,
                settings: Vec::new(),
            });
        } else if line == "}" && open.len() > 1 {
            open.pop();
        }
    }
    all
}
