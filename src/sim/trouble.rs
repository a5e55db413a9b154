//! What goes wrong in a simulated cluster, as a test asks for it: links, clocks, power, disks.

use std::time::Duration;

use super::fact::What;
use super::host::Host;
use super::network::{Arrival, End};
use super::world::World;
use crate::engine::Event;
use crate::error::Result;
use crate::wire::Wanted;

impl World {
    /// Cuts all links of a host, with what is in flight on them. They are redialled.
    pub fn cut(&mut self, host: usize) {
        let ends = self.network.cut(self.now, host);
        self.lost(&ends);
    }

    fn lost(&mut self, ends: &[End]) {
        for (side, link) in ends {
            let reason = "cut".to_owned();
            self.note(
                *side,
                What::Lost {
                    reason: reason.clone(),
                },
            );
            self.tell(
                *side,
                Event::LinkLost {
                    link: *link,
                    reason,
                },
            );
        }
    }

    /// Breaks the links of a host, or those to `other`: what is in flight arrives up to some byte,
    /// and each end hears of it in its own time. Gives the number of links.
    pub fn sever(&mut self, host: usize, other: Option<usize>) -> usize {
        self.network.sever(self.now, host, other)
    }

    /// A host's links end for it, and the others don't hear of it: half-open connections.
    pub fn half_open(&mut self, host: usize) -> usize {
        let ends = self.network.vanish(self.now, host);
        self.lost(&ends);
        ends.len()
    }

    /// Lets nothing get through from one host to another, or lets what was held back follow.
    pub fn block(&mut self, from: usize, to: usize, blocked: bool) {
        self.network.block(self.now, from, to, blocked);
    }

    /// Bounds the bytes per second between two hosts.
    pub fn slow(&mut self, one: usize, other: usize, bytes_per_second: u64) {
        self.network.slow(one, other, bytes_per_second);
    }

    /// How long one thing may be on its way from now on; 200 ms at first.
    pub const fn set_delay(&mut self, max: Duration) {
        self.network.set_delay(max);
    }

    /// Ends every trouble of the network.
    pub fn heal(&mut self) {
        self.network.heal(self.now);
    }

    /// Lets no dial of or to a host succeed, or lets them again.
    pub fn isolate(&mut self, host: usize, isolated: bool) {
        self.network.isolate(host, isolated);
        if isolated {
            self.cut(host);
        }
    }

    /// Sets how far a host's clock is off, at once.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn set_skew(&mut self, host: usize, millis: i64) -> Result<()> {
        self.host_mut(host)?.set_skew(millis);
        Ok(())
    }

    /// Kills a host's process between two events and starts it again at once. What it has not
    /// committed is lost.
    ///
    /// # Errors
    /// When its store can't be opened again.
    pub fn restart(&mut self, host: usize) -> Result<()> {
        self.kill(host)?;
        self.start(host)
    }

    /// Kills a host's process between two events; its peers hear of it.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn kill(&mut self, host: usize) -> Result<()> {
        self.remember(host)?;
        self.host_mut(host)?.kill();
        let ends = self.network.cut(self.now, host);
        self.network.forget(host);
        self.note(
            host,
            What::Crashed {
                unsynced_bytes: 0,
                power: false,
            },
        );
        self.lost(&ends);
        Ok(())
    }

    /// Cuts a host's power after so many more writes and syncs of its disk. It starts again by
    /// itself some time later, on what is left. A host without a disk is killed in place.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn cut_power(&mut self, host: usize, after: u64) -> Result<()> {
        match self.host(host)?.storage().as_disk() {
            Some(disk) => {
                disk.cut_power_after(after);
                self.check_power(host);
                Ok(())
            }
            None => self.restart(host),
        }
    }

    /// Cuts the power once more when the host recovers, after so many operations of its disk.
    pub fn cut_power_in_recovery(&mut self, host: usize, after: u64) {
        self.recovery_cuts.insert(host, after);
    }

    /// Lets no disk lose its power any more.
    pub fn keep_power(&mut self) {
        self.recovery_cuts.clear();
        for disk in self.hosts.iter().filter_map(|it| it.storage().as_disk()) {
            disk.keep_power();
        }
    }

    /// Keeps what a host shows, for whoever compares it with what it shows after it is back.
    fn remember(&mut self, host: usize) -> Result<()> {
        let it = self.host(host)?;
        if it.is_up()
            && let Ok(records) = it.records(Self::space())
        {
            self.before_crash.insert(host, records);
        }
        Ok(())
    }

    /// Notices that a host's disk has lost power.
    pub(super) fn check_power(&mut self, host: usize) {
        let is_dead = |it: &Host| it.is_up() && it.storage().is_dead();
        if !self.hosts.get(host).is_some_and(is_dead) || self.remember(host).is_err() {
            return;
        }
        self.went_dark(host);
        let silent = self.entropy.below(2) == 0;
        if silent {
            self.network.vanish(self.now, host);
        } else {
            self.network.sever(self.now, host, None);
        }
        self.network.forget(host);
    }

    fn went_dark(&mut self, host: usize) {
        let Some(it) = self.hosts.get_mut(host) else {
            return;
        };
        let unsynced_bytes = it.lose_power(&mut self.entropy);
        self.note(
            host,
            What::Crashed {
                unsynced_bytes,
                power: true,
            },
        );
        let down = self.entropy.span_up_to(Duration::from_secs(20));
        self.network.push(self.now + down, Arrival::Start { host });
    }

    /// Starts a host that is down.
    ///
    /// # Errors
    /// When there is no such host, or its store can't be opened.
    pub fn start(&mut self, host: usize) -> Result<()> {
        let now = self.now_of(host);
        let mut entropy = self.entropy.fork();
        let cut = self.recovery_cuts.remove(&host);
        let it = self.host_mut(host)?;
        if let (Some(after), Some(disk)) = (cut, it.storage().as_disk()) {
            disk.cut_power_after(after);
        }
        let started = it.start(now, &mut entropy);
        if it.storage().is_dead() {
            self.went_dark(host);
            return Ok(());
        }
        if let Err(error) = &started {
            self.note(host, What::NotStarted(format!("{error:#}")));
            return started;
        }
        self.note(host, What::Started);
        self.pump(host);
        Ok(())
    }

    /// A host is gone for ever; nobody waits for it.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn bury(&mut self, host: usize) -> Result<()> {
        self.kill(host)?;
        self.isolate(host, true);
        self.dead.insert(host);
        Ok(())
    }

    /// Whether a host is gone for ever.
    pub fn is_dead(&self, host: usize) -> bool {
        self.dead.contains(&host)
    }

    /// A copy of what a host's disk holds now; none without a disk.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn backup(&self, host: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.host(host)?.storage().copy())
    }

    /// Puts a backup in the place of what a host holds, and starts it.
    ///
    /// # Errors
    /// When there is no such host, or the backup can't be opened.
    pub fn restore(&mut self, host: usize, backup: Vec<u8>) -> Result<()> {
        self.kill(host)?;
        let mut entropy = self.entropy.fork();
        let it = self.host_mut(host)?;
        it.storage_mut().restore(backup, &mut entropy)?;
        self.before_crash.remove(&host);
        self.start(host)
    }

    /// A host loses everything and starts as a new one.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn wipe(&mut self, host: usize) -> Result<()> {
        self.kill(host)?;
        self.host_mut(host)?.storage_mut().wipe();
        self.before_crash.remove(&host);
        self.start(host)
    }

    /// Closes a host, changes which collections it wants, and starts it again.
    ///
    /// # Errors
    /// When there is no such host, or its store can't be opened.
    pub fn subscribe(&mut self, host: usize, wanted: Wanted) -> Result<()> {
        self.remember(host)?;
        self.sever(host, None);
        self.network.forget(host);
        let it = self.host_mut(host)?;
        it.close();
        it.want(Self::space(), wanted);
        self.start(host)
    }
}
