//! Two gateways at a time.
//!
//! Owns: a gateway that sleeps, or is cut off from the nodes, while another takes its place; who
//! asks it by mistake; its end.
//! Leaves to others: the gateways ([`crate::gateway`]), who is asked ([`crate::load`]).
//! Always: there is at most one that was taken over from, and it ends by itself once it runs and
//! hears the nodes.

use std::sync::Arc;
use std::time::Duration;

use super::{Director, Done, Ending, RESTART};
use crate::gateway::{Gateway, Leasing, Progress, Running, Start};
use crate::net::Host;
use crate::plan::Fault;

/// How long before a sleeper wakes it is asked.
const EARLY: Duration = Duration::from_millis(100);

/// A gateway that another took over from.
#[derive(Debug)]
pub(super) struct Old {
    gateway: Gateway,
    running: Option<Arc<Running>>,
    /// It is awake and hears the nodes.
    is_back: bool,
}

impl Director {
    /// The gateway sleeps, or is cut off; another starts from a copy of its index, or rebuilds one.
    pub(super) async fn take_over(&mut self, fault: Fault) -> Done<()> {
        for _ in 0..400 {
            if self.load.gateway().is_some() {
                break;
            }
            self.tick().await?;
        }
        self.end_old();
        let Some(gateway) = self.gateway.take() else {
            return Ok(());
        };
        self.effects.met(fault.kind);
        self.shown.end(gateway.index.snapshot());
        let running = self.load.gateway();
        self.load.set_gateway(None);
        self.memory = Some(match (fault.draw / 2).is_multiple_of(3) {
            true => {
                self.start = Start::Rebuild;
                self.new_index()
            }
            false => gateway.index.snapshot(),
        });
        self.leasing = self.leasing.as_ref().map(Leasing::elsewhere);
        let host = self.cluster().change_gateway_host();
        let process = gateway.process;
        self.old = Some(Old {
            gateway,
            running,
            is_back: false,
        });
        match fault.draw.is_multiple_of(2) {
            true => {
                self.exec
                    .note(|| format!("gateway {} is cut off", process.0));
                self.cut_off(host, fault.lasts);
                self.ask_old();
            }
            false => {
                self.exec.note(|| format!("gateway {} sleeps", process.0));
                self.exec.suspend(process);
                self.later(fault.lasts.saturating_sub(EARLY), Ending::AskOld);
            }
        }
        self.later(fault.lasts, Ending::WakeOld);
        self.later(RESTART, Ending::StartGateway);
        Ok(())
    }

    fn cut_off(&mut self, host: Host, lasts: Duration) {
        let nodes: Vec<Host> = self.cluster().nodes.iter().map(|node| node.host).collect();
        let links = nodes.iter().flat_map(|&node| [(host, node), (node, host)]);
        let links: Vec<(Host, Host)> = links.collect();
        for &(from, to) in &links {
            self.cluster().network.set_cut(from, to, true);
        }
        self.later(lasts, Ending::Mend(links));
    }

    /// Some clients ask the old gateway from now on.
    pub(super) fn ask_old(&mut self) {
        let running = self.old.as_ref().and_then(|old| old.running.clone());
        self.load.set_old(running);
    }

    pub(super) fn wake_old(&mut self) {
        if let Some(old) = &mut self.old {
            old.is_back = true;
            self.exec.resume(old.gateway.process);
        }
    }

    /// The other gateway could not start. When it is the old one that renews the lease again, an
    /// operator stops that.
    pub(super) fn prefer_new(&mut self) {
        if self.old.as_ref().is_some_and(|old| old.is_back) {
            self.end_old();
        }
    }

    /// Ends the old gateway's process once it says that it must end.
    pub(super) fn look_after_old(&mut self) {
        let has_failed = |old: &Old| matches!(old.gateway.progress(), Progress::Failed(_));
        if self.old.as_ref().is_some_and(has_failed) {
            self.end_old();
        }
    }

    pub(super) fn end_old(&mut self) {
        self.load.set_old(None);
        if let Some(old) = self.old.take() {
            let process = old.gateway.process;
            self.exec.note(|| format!("old gateway {} ends", process.0));
            self.exec.kill(process);
        }
    }
}
