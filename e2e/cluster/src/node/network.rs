//! The node's network namespace and its one link to the host.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};

use crate::command::Run;
use crate::layout::Layout;

/// Routing between pods happens inside the namespace; the host's own forwarding is not touched.
const SETTINGS: [(&str, &str); 2] = [("ipv4/ip_forward", "1"), ("ipv4/conf/all/route_localnet", "1")];

/// Makes the namespace, the veth pair, both addresses, and the route to the host.
///
/// # Errors
/// When one of the commands fails; the caller tears down what is half made.
pub(super) fn create(layout: &Layout) -> Result<()> {
    let namespace = layout.network_namespace();
    File::create(&namespace).with_context(|| format!("failed to create {}", namespace.display()))?;
    Run::new("unshare")
        .arg(format!("--net={}", namespace.display()))
        .arg("true")
        .done()?;
    link(layout)?;
    for (setting, value) in SETTINGS {
        inside(
            layout,
            &["sh", "-c", &format!("echo {value} > /proc/sys/net/{setting}")],
        )
        .done()?;
    }
    Ok(())
}

fn link(layout: &Layout) -> Result<()> {
    let (host, node) = (layout.host_link(), layout.node_link());
    let (host_address, node_address) = (
        layout.host_address().to_string(),
        layout.node_address().to_string(),
    );
    let namespace = layout.network_namespace().display().to_string();
    ip(&[
        "link", "add", &host, "type", "veth", "peer", "name", &node, "netns", &namespace,
    ])?;
    ip(&["address", "add", &format!("{host_address}/30"), "dev", &host])?;
    ip(&["link", "set", &host, "up"])?;
    inside(layout, &["ip", "link", "set", "lo", "up"]).done()?;
    inside(
        layout,
        &[
            "ip",
            "address",
            "add",
            &format!("{node_address}/30"),
            "dev",
            &node,
        ],
    )
    .done()?;
    inside(layout, &["ip", "link", "set", &node, "up"]).done()?;
    // Nothing answers beyond the host; but packets to a Service need a route before they are redirected.
    inside(layout, &["ip", "route", "add", "default", "via", &host_address]).done()
}

fn ip(args: &[&str]) -> Result<()> {
    Run::new("ip").args(args).done()
}

/// A command in the node's network.
fn inside(layout: &Layout, command: &[&str]) -> Run {
    Run::new("nsenter")
        .arg(format!("--net={}", layout.network_namespace().display()))
        .arg("--")
        .args(command)
}

/// True while both the namespace and the link are there; a restart of the host leaves files without them.
pub(super) fn exists(layout: &Layout) -> bool {
    inside(layout, &["ip", "link", "show", &layout.node_link()])
        .done()
        .is_ok()
}

/// True while the host's end of the link is there.
pub(crate) fn link_exists(layout: &Layout) -> bool {
    Path::new("/sys/class/net").join(layout.host_link()).exists()
}

/// Removes the host's end of the link, and with it the node's.
///
/// # Errors
/// When it is there and cannot be removed.
pub(crate) fn remove_link(layout: &Layout) -> Result<()> {
    if !link_exists(layout) {
        return Ok(());
    }
    ip(&["link", "delete", &layout.host_link()])
}
