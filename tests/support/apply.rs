//! What the tests of `apply` share: a store to be, plans, and what came of them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Run, Sandbox};

pub struct Ground {
    pub sandbox: Sandbox,
}

impl Ground {
    /// Without a store.
    pub fn new() -> Self {
        Self {
            sandbox: Sandbox::empty(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.sandbox.folder.path().join(name)
    }

    /// A file with this in it; `FOLDER` is where tests may write.
    pub fn plan(&self, text: &str) -> PathBuf {
        self.plan_named("plan.toml", text)
    }

    pub fn plan_named(&self, name: &str, text: &str) -> PathBuf {
        let folder = self.sandbox.folder.path().display().to_string();
        let path = self.path(name);
        fs::write(&path, text.replace("FOLDER", &folder)).unwrap();
        path
    }

    pub fn apply(&self, plan: &Path, more: &[&str]) -> Run {
        let plan = plan.to_str().unwrap();
        self.sandbox.run(&[&["apply", plan], more].concat())
    }

    /// What a delivery wrote, without its newline.
    pub fn text(&self, name: &str) -> String {
        let path = self.path(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        text.trim_end().to_owned()
    }

    pub fn works(&self, username: &str, password: &str) -> bool {
        self.sandbox.verify(username, password) == 0
    }

    /// Of the audit trail, each with what it is about; those about users that were
    /// made at the same time by name. Nothing where there is no store.
    pub fn actions(&self) -> Vec<String> {
        if !self.sandbox.store().exists() {
            return Vec::new();
        }
        let events = self.sandbox.json(&["audit", "list"]);
        let mut actions: Vec<_> = events
            .as_array()
            .unwrap()
            .iter()
            .map(|event| {
                let text = |name: &str| event[name].as_str().map(str::to_owned);
                let about = text("username").or(text("domain")).unwrap_or_default();
                format!("{} {about}", text("action").unwrap())
                    .trim()
                    .to_owned()
            })
            .collect();
        for made in actions.chunk_by_mut(|a, b| a.starts_with("user.") && b.starts_with("user.")) {
            made.sort_by_key(|action| {
                let order = ["user.create", "user.suspend", "user.resume"];
                let kind = order.iter().position(|kind| action.starts_with(kind));
                (kind, action.clone())
            });
        }
        actions
    }

    pub fn users(&self) -> Vec<String> {
        let users = self.sandbox.json(&["user", "list"]);
        let users = users.as_array().unwrap().iter();
        users
            .map(|user| user["username"].as_str().unwrap().to_owned())
            .collect()
    }
}
