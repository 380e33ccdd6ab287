//! An image with nothing but the binary, in the layout that the Open Container Initiative has agreed on: what
//! `skopeo copy oci-archive:FILE` reads.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{VERSION, epoch, fresh, named, stage::mode};
use crate::{
    arch::Arch,
    process::{command, output},
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

pub(super) fn pack(agent: &Path, arch: Arch, into: &Path) -> Result<PathBuf> {
    let place = into.join("oci");
    let (blobs, content) = (place.join("layout/blobs/sha256"), place.join("content"));
    fresh(&blobs)?;
    fresh(&content)?;
    fs::copy(agent, content.join("tds-tracer"))?;
    mode(&content.join("tds-tracer"), 0o755)?;
    let layer = place.join("layer.tar");
    tar(&content, &layer)?;
    let uncompressed = digest(&layer)?;
    output(command("gzip", ["-9", "--no-name"]).arg(&layer))?;
    let layer = blob(&blobs, LAYER, &fs::read(place.join("layer.tar.gz"))?)?;
    let config = json!({
        "architecture": arch.debian(),
        "os": "linux",
        "config": { "Entrypoint": ["/tds-tracer"], "Cmd": ["run"] },
        "rootfs": { "type": "layers", "diff_ids": [uncompressed] },
    });
    let config = blob(&blobs, CONFIG, config.to_string().as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer],
    });
    let mut manifest = blob(&blobs, MANIFEST, manifest.to_string().as_bytes())?;
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": VERSION });
    let layout = place.join("layout");
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(layout.join("index.json"), index.to_string())?;
    let image = named(
        into,
        &format!("tds-tracer-{VERSION}-{}.oci.tar", arch.debian()),
    );
    tar(&layout, &image)?;
    fs::remove_dir_all(place)?;
    Ok(image)
}

/// Writes a blob by its digest, and describes it.
fn blob(blobs: &Path, kind: &str, bytes: &[u8]) -> Result<Value> {
    let unnamed = blobs.join("unnamed");
    fs::write(&unnamed, bytes)?;
    let digest = digest(&unnamed)?;
    let name = digest.split_once(':').context("a digest")?.1;
    fs::rename(unnamed, blobs.join(name))?;
    Ok(json!({ "mediaType": kind, "digest": digest, "size": bytes.len() }))
}

fn digest(file: &Path) -> Result<String> {
    let line = output(command("sha256sum", ["--binary"]).arg(file))?;
    let sum = line.split_whitespace().next().context("no digest")?;
    Ok(format!("sha256:{sum}"))
}

fn tar(folder: &Path, to: &Path) -> Result<()> {
    let mut tar = command("tar", ["--create", "--format=ustar", "--sort=name"]);
    tar.args([
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mode=u=rwX,go=rX",
    ])
    .arg(format!("--mtime=@{}", epoch()?))
    .arg("--file")
    .arg(to)
    .arg("--directory")
    .arg(folder);
    let mut names: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()?;
    names.sort();
    output(tar.args(names)).map(drop)
}
