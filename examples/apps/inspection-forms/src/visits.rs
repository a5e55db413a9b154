//! What was filled in.

use std::path::Path;

use serde_json::{Map, Value as Json, json};
use syncline::contract::{Contract, Kind};
use syncline::doc::{Edit, PathStep, Value};
use syncline::node::{FieldConflict, Migrate, Migrated};
use syncline::record::Attachment;
use syncline::{Error, ErrorKind, Node, RecordId, Records, Result};

use crate::answer::Answer;
use crate::form::attachment;

/// The field that photos are named in.
const PHOTOS: &str = "photos";

/// The filled in forms of a device.
#[derive(Clone, Debug)]
pub struct Visits {
    node: Node,
    form: Contract,
    records: Records,
}

impl Visits {
    /// Those of this form. The form is declared, so that all devices of the space know it.
    ///
    /// # Errors
    /// `Conflict` if the space has another form of this version; when the store can't be written.
    pub async fn open(node: &Node, form: Contract) -> Result<Self> {
        node.declare(&form).await?;
        Ok(Self {
            records: node.records(form.collection().as_str())?,
            node: node.clone(),
            form,
        })
    }

    /// What the form asks.
    pub const fn form(&self) -> &Contract {
        &self.form
    }

    /// A new filled in form, durable on return. Counts, texts and photos begin here, even if empty: into what
    /// has begun several devices add at the same time, while of two that begin it apart one would be hidden.
    ///
    /// # Errors
    /// `Breach` if what the form needs is missing, or an answer is not what it allows.
    pub async fn create(&self, answers: Vec<(String, Answer)>) -> Result<RecordId> {
        let mut record = Map::new();
        for (name, field) in self.form.fields() {
            if let Some(empty) = empty(field.kind()) {
                record.insert(name.clone(), empty);
            }
        }
        for (name, answer) in answers {
            match answer {
                Answer::Set(Json::Null) => drop(record.remove(&name)),
                Answer::Set(value) => drop(record.insert(name, value)),
                Answer::Add(by) => {
                    let before = record.get(&name).and_then(Json::as_i64).unwrap_or(0);
                    record.insert(name, json!(before.saturating_add(by)));
                }
            }
        }
        self.records.insert(&Json::Object(record)).await
    }

    /// Changes answers of a form: one change, durable on return.
    ///
    /// # Errors
    /// `NotFound` if there is no such form here, `Breach` as [`Visits::create`].
    pub async fn answer(&self, id: RecordId, answers: Vec<(String, Answer)>) -> Result<()> {
        self.get(id).await?;
        let work = |edit: &mut Edit<'_>| {
            let mut answers = answers.iter();
            answers.try_for_each(|(name, answer)| self.apply(edit, name, answer))
        };
        self.records.edit(id, work).await
    }

    fn apply(&self, edit: &mut Edit<'_>, name: &str, answer: &Answer) -> Result<()> {
        let path = [PathStep::from(name)];
        match answer {
            Answer::Set(Json::Null) => edit.remove(&path),
            Answer::Set(value) => {
                let mut record = Value::from_json(&json!({ name: value }))?;
                self.form.coerce(&mut record);
                record.get(&path).map_or(Ok(()), |it| edit.set(&path, it))
            }
            Answer::Add(by) => match edit.get(&path)? {
                Some(Value::Counter(_)) => edit.increment(&path, *by),
                _ => edit.set(&path, &Value::Counter(*by)),
            },
        }
    }

    /// A filled in form.
    ///
    /// # Errors
    /// `NotFound` if it is not here.
    pub async fn get(&self, id: RecordId) -> Result<Json> {
        let found = self.records.get(id).await?;
        found.ok_or_else(|| {
            let message = format!("there is no form {id} here; see list");
            Error::new(ErrorKind::NotFound, message)
        })
    }

    /// All of them.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn list(&self) -> Result<Vec<(RecordId, Json)>> {
        self.records.list().await
    }

    /// Where several devices answered the same at the same time, and nobody has since.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn conflicts(&self, id: RecordId) -> Result<Vec<FieldConflict>> {
        self.records.conflicts(id).await
    }

    /// Brings all forms into the words of this version, or only says what that would do.
    ///
    /// # Errors
    /// `InvalidInput` if this version of the form has none before it; when the store can't be written.
    pub async fn migrate(&self, how: Migrate) -> Result<Migrated> {
        if self.form.migrations().is_empty() {
            let version = self.form.version();
            let message = format!(
                "version {version} of the form has no migrations; name a newer one by --form"
            );
            return Err(Error::new(ErrorKind::InvalidInput, message));
        }
        self.records.migrate(how, |_| ()).await
    }

    /// Keeps a file and names it in a form.
    ///
    /// # Errors
    /// `NotFound` if the form is not here or has no photos, `Io` if the file can't be read, `TooLarge`, `Breach`
    /// if the form has as many photos as it may.
    pub async fn attach(&self, id: RecordId, file: &Path) -> Result<Attachment> {
        if self.form.field(PHOTOS).is_none() {
            let message = format!("the form has no field {PHOTOS:?}");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        self.get(id).await?;
        let opened = tokio::fs::File::open(file).await.map_err(|error| {
            let message = format!("cannot read {}: {error}", file.display());
            Error::new(ErrorKind::Io, message)
        })?;
        let put = self.node.blobs().put_from(opened).await;
        let photo = put.map_err(|error| error.context(file.display()))?;
        let name = file.file_name().map(|it| it.to_string_lossy().into_owned());
        let photo = photo.with_name(&name.unwrap_or_else(|| "photo".to_owned()))?;
        let text = Value::Str(photo.to_string());
        let add = |edit: &mut Edit<'_>| {
            let list = PathStep::from(PHOTOS);
            match edit.get(std::slice::from_ref(&list))? {
                Some(Value::List(photos)) => {
                    edit.set(&[list, PathStep::Index(photos.len())], &text)
                }
                _ => edit.set(&[list], &Value::List(vec![text.clone()])),
            }
        };
        self.records.edit(id, add).await?;
        Ok(photo)
    }

    /// A form's photo, from 1.
    ///
    /// # Errors
    /// `NotFound` if there is no such form or photo, `WrongType` if something else is named there.
    pub async fn photo(&self, id: RecordId, number: usize) -> Result<Attachment> {
        let form = self.get(id).await?;
        let named = number
            .checked_sub(1)
            .and_then(|it| form.get(PHOTOS)?.get(it));
        let named = named.ok_or_else(|| {
            let message = format!("form {id} has no photo {number}; the first is 1");
            Error::new(ErrorKind::NotFound, message)
        })?;
        attachment(named)
            .ok_or_else(|| Error::new(ErrorKind::WrongType, format!("photo {number} is none")))
    }

    /// The bytes of a photo that is here.
    ///
    /// # Errors
    /// `NotHere` if it has not come yet.
    pub async fn read(&self, photo: &Attachment) -> Result<Vec<u8>> {
        self.node.blobs().read(photo.id()).await
    }

    /// Gets a photo from a linked device that has it, and waits for one.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn fetch(&self, photo: &Attachment) -> Result<Vec<u8>> {
        self.node.blobs().fetch(photo.id()).await?.done().await?;
        self.read(photo).await
    }
}

/// What a field of which several devices write parts begins with.
fn empty(kind: Kind) -> Option<Json> {
    let begun = [
        (Kind::Counter, json!(0)),
        (Kind::Text, json!("")),
        (Kind::List, json!([])),
    ];
    begun.into_iter().find(|it| it.0 == kind).map(|it| it.1)
}
