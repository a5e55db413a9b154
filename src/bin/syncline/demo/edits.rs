//! What the two devices write while they are apart, and what must come of it.

use syncline::{Collection, RecordId};

use super::data::{self, PAGE, Page, Zone};
use super::device::Device;
use crate::failure::Failure;

/// One case of the demo: what both wrote, and how it must come out.
pub(super) struct Case {
    /// The record, as its owner calls it.
    pub(super) record: &'static str,
    pub(super) field: &'static str,
    pub(super) laptop: &'static str,
    pub(super) phone: &'static str,
    /// The results that are right. Of two values for one plain field either may stay, the same on
    /// all devices.
    right: &'static [&'static str],
}

const LAPTOP_COMMENT: &str = "night train from Madrid";
const PHONE_COMMENT: &str = "the ferry is slow";

pub(super) const CASES: &[Case] = &[
    Case {
        record: "Europe/Vienna",
        field: "visits",
        laptop: "add 3",
        phone: "add 4",
        right: &["7"],
    },
    Case {
        record: "Europe/Vienna",
        field: "tags",
        laptop: "add work",
        phone: "add summer",
        right: &["summer, work"],
    },
    Case {
        record: "Asia/Tokyo",
        field: "comment",
        laptop: "ask Aiko",
        phone: "-",
        right: &["ask Aiko"],
    },
    Case {
        record: "Asia/Tokyo",
        field: "favourite",
        laptop: "-",
        phone: "true",
        right: &["true"],
    },
    Case {
        record: "Europe/Lisbon",
        field: "comment",
        laptop: LAPTOP_COMMENT,
        phone: PHONE_COMMENT,
        right: &[LAPTOP_COMMENT, PHONE_COMMENT],
    },
    Case {
        record: PAGE,
        field: "body",
        laptop: "attempts -> tries",
        phone: "history -> past",
        right: &["tries to record the past"],
    },
    Case {
        record: "Africa/Nairobi",
        field: "comment",
        laptop: "delete the record",
        phone: "bring a hat",
        right: &["deleted"],
    },
    Case {
        record: "Africa/Lagos",
        field: "visits",
        laptop: "add 1",
        phone: "delete, restore",
        right: &["1"],
    },
];

impl Case {
    pub(super) fn is_right(&self, shown: &str) -> bool {
        self.right.contains(&shown)
    }

    /// What `device` shows.
    pub(super) async fn shown(&self, device: &Device) -> Result<String, Failure> {
        let id = RecordId::named(self.record);
        if self.record == PAGE {
            let page = device.pages.get(id).await?;
            return Ok(page.map_or_else(deleted, |it| edited_words(&it)));
        }
        let zone = device.zones.get(id).await?;
        Ok(zone.map_or_else(deleted, |it| match self.field {
            "visits" => it.visits.value().to_string(),
            "tags" => it.tags.iter().cloned().collect::<Vec<_>>().join(", "),
            "favourite" => it.favourite.to_string(),
            _ => it.comment,
        }))
    }
}

fn deleted() -> String {
    "deleted".to_owned()
}

/// The part of a sentence that both have edited.
fn edited_words(page: &Page) -> String {
    let after = page.body.as_str().split_once("The tz database ");
    let words = after.and_then(|(_, rest)| rest.split_once(" and predicted"));
    words.map_or_else(String::new, |(words, _)| words.to_owned())
}

/// The records that are edited, with their collections.
pub(super) fn edited() -> Vec<(&'static str, &'static str)> {
    let mut names: Vec<_> = CASES
        .iter()
        .map(|it| (if it.record == PAGE { "pages" } else { "zones" }, it.record))
        .collect();
    names.dedup();
    names
}

pub(super) async fn on_laptop(laptop: &Device) -> Result<(), Failure> {
    let zones = &laptop.zones;
    edit(zones, "Europe/Vienna", |it| {
        it.visits.increment(3);
        it.tags.insert("work".to_owned());
    })
    .await?;
    edit(zones, "Asia/Tokyo", |it| {
        "ask Aiko".clone_into(&mut it.comment);
    })
    .await?;
    edit(zones, "Europe/Lisbon", |it| {
        LAPTOP_COMMENT.clone_into(&mut it.comment);
    })
    .await?;
    edit(zones, "Africa/Lagos", |it| it.visits.increment(1)).await?;
    zones.delete(RecordId::named("Africa/Nairobi")).await?;
    let page = RecordId::named(PAGE);
    laptop
        .pages
        .update(page, |it| data::replace(&mut it.body, "attempts", "tries"))
        .await?;
    Ok(())
}

pub(super) async fn on_phone(phone: &Device) -> Result<(), Failure> {
    let zones = &phone.zones;
    edit(zones, "Europe/Vienna", |it| {
        it.visits.increment(4);
        it.tags.insert("summer".to_owned());
    })
    .await?;
    edit(zones, "Asia/Tokyo", |it| it.favourite = true).await?;
    edit(zones, "Europe/Lisbon", |it| {
        PHONE_COMMENT.clone_into(&mut it.comment);
    })
    .await?;
    edit(zones, "Africa/Nairobi", |it| {
        "bring a hat".clone_into(&mut it.comment);
    })
    .await?;
    zones.delete(RecordId::named("Africa/Lagos")).await?;
    zones.restore(RecordId::named("Africa/Lagos")).await?;
    let page = RecordId::named(PAGE);
    phone
        .pages
        .update(page, |it| data::replace(&mut it.body, "history", "past"))
        .await?;
    Ok(())
}

async fn edit(
    zones: &Collection<Zone>,
    name: &str,
    change: impl FnMut(&mut Zone) + Send,
) -> Result<(), Failure> {
    Ok(zones.update(RecordId::named(name), change).await?)
}
