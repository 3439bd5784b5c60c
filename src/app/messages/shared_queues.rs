//! Which programs work on the same queue. Services of one Postfix may log under names of
//! their own (`syslog_name`), and so do instances, which have queues of their own: only
//! lines about the same message tell.

/// Groups of programs, by their numbers.
#[derive(Default)]
pub struct SharedQueues {
    /// For each program another of its group, or itself.
    next: Vec<u16>,
}

impl SharedQueues {
    /// Whether both were seen with the same message.
    pub fn share(&self, one: u16, other: u16) -> bool {
        self.first(one) == self.first(other)
    }

    /// Both were seen with the same message.
    pub fn join(&mut self, one: u16, other: u16) {
        if one == other {
            return;
        }
        let (one, other) = (self.first(one), self.first(other));
        let (low, high) = (one.min(other), one.max(other));
        while self.next.len() <= usize::from(high) {
            let itself = u16::try_from(self.next.len()).unwrap_or(u16::MAX);
            self.next.push(itself);
        }
        self.next[usize::from(high)] = low;
    }

    fn first(&self, mut program: u16) -> u16 {
        while let Some(next) = self.next.get(usize::from(program))
            && *next != program
        {
            program = *next;
        }
        program
    }
}
