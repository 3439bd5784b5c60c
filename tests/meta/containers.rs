//! The image and the files in `dist/containers`, as far as no Docker and no Kubernetes are
//! needed for that.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::booted::say;
use crate::support::serve::Auth;
use crate::support::{self, Run, finished, wait_for};

/// The user in the image.
const OWNER: u32 = 65532;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tool(command: &mut Command) -> String {
    let run = finished(command.output().expect("a tool: run tests/run"));
    assert_eq!(run.code, 0, "{command:?}: {}", run.stderr);
    run.stdout
}

/// All documents of a YAML file, as its own parser reads them.
fn yaml(file: &str) -> Vec<Value> {
    let script = "import json, sys, yaml
print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let path = root().join("dist/containers").join(file);
    let text = tool(
        Command::new("/usr/bin/python3")
            .args(["-c", script])
            .arg(path),
    );
    serde_json::from_str(&text).expect("JSON")
}

fn image() -> String {
    format!("smtpcred:{}", env!("CARGO_PKG_VERSION"))
}

#[test]
#[ignore = "needs python3-yaml: run tests/run"]
fn compose_runs_it_without_rights() {
    let documents = yaml("compose.yaml");
    let [compose] = &documents[..] else {
        panic!("one document");
    };
    let volumes = compose["volumes"].as_object().unwrap();
    for name in ["store", "credentials"] {
        let service = &compose["services"][name];
        assert_eq!(service["image"], image());
        assert_eq!(service["user"], format!("{OWNER}:{OWNER}"));
        assert_eq!(service["read_only"], true);
        assert_eq!(service["cap_drop"], json!(["ALL"]));
        for volume in service["volumes"].as_array().unwrap() {
            let (volume, place) = volume.as_str().unwrap().split_once(':').unwrap();
            assert!(volumes.contains_key(volume), "{volume}");
            // The folder, never the file.
            assert!(
                ["/var/lib/smtpcred", "/run/smtpcred"].contains(&place),
                "{place}"
            );
        }
    }
}

#[test]
#[ignore = "needs python3-yaml: run tests/run"]
fn kubernetes_runs_it_without_rights() {
    let documents = yaml("kubernetes.yaml");
    let deployment = documents
        .iter()
        .find(|document| document["kind"] == "Deployment")
        .unwrap();
    // Two must not use one file.
    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
    let pod = &deployment["spec"]["template"]["spec"];
    let volumes: Vec<_> = pod["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["name"])
        .collect();
    let ours = pod["initContainers"].as_array().unwrap();
    for container in ours {
        assert_eq!(container["image"], image());
        let context = &container["securityContext"];
        assert_eq!(context["runAsUser"], OWNER);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
    }
    // The second one stays, as a sidecar.
    assert_eq!(ours[1]["restartPolicy"], "Always");
    let postfix = &pod["containers"][0];
    for container in ours.iter().chain([postfix]) {
        for mount in container["volumeMounts"].as_array().unwrap() {
            assert!(volumes.contains(&&mount["name"]), "{mount}");
        }
    }
}

/// An unpacked image, and the folders that are mounted into it.
struct Bundle(TempDir);

impl Bundle {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let archives = ["first", "second"].map(|name| {
            let out = folder.path().join(name);
            tool(
                Command::new(root().join("dist/package/build"))
                    .args(["image", "--program", support::PROGRAM, "--out"])
                    .arg(&out),
            );
            fs::read_dir(&out)
                .unwrap()
                .map(|file| file.unwrap().path())
                .find(|path| path.extension().is_some_and(|end| end == "tar"))
                .expect("an image")
        });
        let [archive, again] = &archives;
        assert_eq!(fs::read(archive).unwrap(), fs::read(again).unwrap());
        // As Docker's older image store reads it.
        tool(
            Command::new("skopeo")
                .arg("inspect")
                .arg(format!("docker-archive:{}", archive.display())),
        );
        let layout = folder.path().join("layout");
        let tagged = format!("{}:{version}", layout.display());
        tool(Command::new("skopeo").args(["copy", "--quiet"]).args([
            format!("oci-archive:{}", archive.display()),
            format!("oci:{tagged}"),
        ]));
        tool(
            Command::new("umoci")
                .args(["unpack", "--image", &tagged])
                .arg(folder.path().join("bundle")),
        );
        for name in ["store", "sockets"] {
            let shared = folder.path().join(name);
            fs::create_dir(&shared).unwrap();
            chown(&shared, Some(OWNER), Some(OWNER)).unwrap();
        }
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// As `dist/containers` demands: no capability, nothing to write but the volumes.
    fn command(&self, args: &[&str]) -> Command {
        let bundle = self.path("bundle");
        let mut config: Value =
            serde_json::from_slice(&fs::read(bundle.join("config.json")).unwrap()).unwrap();
        assert_eq!(config["process"]["user"]["uid"], OWNER);
        if !args.is_empty() {
            let program = &config["process"]["args"][0];
            let command = [&[program.as_str().unwrap()], args].concat();
            config["process"]["args"] = json!(command);
        }
        config["process"]["terminal"] = json!(false);
        config["process"]["rlimits"] = json!([]);
        config["process"]["capabilities"] = json!({});
        config["process"]["noNewPrivileges"] = json!(true);
        config["root"]["readonly"] = json!(true);
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| mount["destination"] != "/var/lib/smtpcred");
        for (name, place) in [("store", "/var/lib/smtpcred"), ("sockets", "/run/smtpcred")] {
            mounts.push(json!({
                "destination": place, "type": "bind", "source": self.path(name),
                "options": ["bind", "rw", "nosuid", "nodev"],
            }));
        }
        // Several containers of this image at the same time.
        let own = tempfile::tempdir_in(self.0.path()).unwrap().keep();
        fs::write(own.join("config.json"), config.to_string()).unwrap();
        std::os::unix::fs::symlink(bundle.join("rootfs"), own.join("rootfs")).unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private"])
            .arg(root().join("tests/support/container"))
            .arg(own)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        finished(self.command(args).output().expect("unshare: run tests/run"))
    }
}

/// Ended with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        if let Ok(pid) = self.0.id().try_into() {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs root, buildah, umoci and crun: run tests/run"]
fn the_image_serves_without_rights() {
    let bundle = Bundle::new();
    let made = bundle.run(&["store", "init", "--quiet"]);
    if made.code == 9 {
        say(&format!("SKIPPED: the image is not run: {}", made.stderr));
        return;
    }
    assert_eq!(made.code, 0, "{}", made.stderr);
    let user = "shop@example.com";
    let created = bundle.run(&["user", "create", user, "--add-domain"]);
    assert_eq!(created.code, 0, "{}", created.stderr);
    let password = created.stdout.trim_end();

    // What the image does by itself, and its health.
    let serving = Serving(bundle.command(&[]).stderr(Stdio::null()).spawn().unwrap());
    let socket = bundle.path("sockets/auth");
    wait_for("its socket", || Auth::connect(&socket).ok());
    for (said, right) in [(password, true), ("wrong", false)] {
        let mut auth = Auth::connect(&socket).unwrap();
        assert_eq!(auth.plain("192.0.2.1", user, said).unwrap(), Some(right));
    }
    assert_eq!(bundle.run(&["serve", "--check"]).code, 0);
    drop(serving);
    let gone = bundle.run(&["serve", "--check"]);
    assert_eq!((gone.code, gone.stdout.matches("FAIL").count()), (1, 2));
    let store = fs::metadata(bundle.path("store/smtpcred.db")).unwrap();
    assert_eq!(store.permissions().mode() & 0o777, 0o600);
}
