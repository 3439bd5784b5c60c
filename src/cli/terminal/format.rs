//! The formats of results.

/// How a result is printed: for people, or as one document for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputFormat {
    #[default]
    Table,
    Json,
    Csv,
}

/// What `--format` accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum AskedFormat {
    #[default]
    Table,
    Json,
    Csv,
    /// Only of `status`, whose help describes it.
    #[value(hide = true)]
    Openmetrics,
}
