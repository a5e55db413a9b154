//! What was filled in.

use std::path::Path;

use serde_json::{Value as Json, json};
use syncline::contract::Contract;
use syncline::doc::PathStep;
use syncline::record::Attachment;
use syncline::{Error, ErrorKind, Node, RecordId, Records, Result};

use crate::answer::{Answer, split};

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

    /// A new filled in form, durable on return.
    ///
    /// # Errors
    /// `Breach` if what the form needs is missing, or an answer is not what it allows.
    pub async fn create(&self, answers: Vec<(String, Answer)>) -> Result<RecordId> {
        let (mut record, counts) = split(answers);
        for (name, by) in counts {
            record[name] = json!(by);
        }
        self.records.insert(&record).await
    }

    /// Changes answers of a form: one change, durable on return.
    ///
    /// # Errors
    /// `NotFound` if there is no such form here, `Breach` as [`Visits::create`].
    pub async fn answer(&self, id: RecordId, answers: Vec<(String, Answer)>) -> Result<()> {
        self.get(id).await?;
        let (patch, counts) = split(answers);
        if patch.as_object().is_some_and(|it| !it.is_empty()) {
            self.records.patch(id, &patch).await?;
        }
        for (name, by) in counts {
            let path = [PathStep::from(name.as_str())];
            let count = |edit: &mut syncline::doc::Edit<'_>| match edit.get(&path)? {
                Some(_) => edit.increment(&path, by),
                None => edit.set(&path, &syncline::doc::Value::Counter(by)),
            };
            self.records.edit(id, count).await?;
        }
        Ok(())
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

    /// Keeps a file and names it in a form.
    ///
    /// # Errors
    /// `NotFound` if the form is not here, `Io` if the file can't be read, `TooLarge`, `Breach` if the form has
    /// as many photos as it may.
    pub async fn attach(&self, id: RecordId, file: &Path) -> Result<Attachment> {
        self.get(id).await?;
        let bytes = tokio::fs::read(file).await.map_err(|error| {
            let message = format!("cannot read {}: {error}", file.display());
            Error::new(ErrorKind::Io, message)
        })?;
        let name = file.file_name().map(|it| it.to_string_lossy().into_owned());
        let photo = self.node.blobs().put(&bytes).await?;
        let photo = photo.with_name(&name.unwrap_or_else(|| "photo".to_owned()))?;
        let path = [PathStep::from("photos")];
        let text = photo.to_string();
        let add = |edit: &mut syncline::doc::Edit<'_>| {
            use syncline::doc::Value;
            let mut photos = match edit.get(&path)? {
                Some(Value::List(photos)) => photos,
                _ => Vec::new(),
            };
            photos.push(Value::Str(text.clone()));
            edit.set(&path, &Value::List(photos))
        };
        self.records.edit(id, add).await?;
        Ok(photo)
    }

    /// The bytes of a form's photo, from 1. If they are not here a linked device is asked.
    ///
    /// # Errors
    /// `NotFound` if there is no such form or photo, `NotHere` if nobody who is linked has it.
    pub async fn photo(&self, id: RecordId, number: usize) -> Result<(Attachment, Vec<u8>)> {
        let form = self.get(id).await?;
        let named = number.checked_sub(1).and_then(|it| form["photos"].get(it));
        let named = named.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("form {id} has no photo {number}"),
            )
        })?;
        let photo = attachment(named)
            .ok_or_else(|| Error::new(ErrorKind::WrongType, format!("photo {number} is none")))?;
        let blobs = self.node.blobs();
        match blobs.read(photo.id()).await {
            Ok(bytes) => Ok((photo, bytes)),
            Err(error) if error.kind() == ErrorKind::NotHere => {
                blobs.fetch(photo.id()).await?.done().await?;
                Ok((photo.clone(), blobs.read(photo.id()).await?))
            }
            Err(error) => Err(error),
        }
    }
}

/// An attachment as it is in JSON.
fn attachment(json: &Json) -> Option<Attachment> {
    let named = &json["$blob"];
    let id = named["id"].as_str()?.parse().ok()?;
    let attachment = Attachment::new(id, named["size"].as_u64()?);
    match named["name"].as_str() {
        Some(name) => attachment.with_name(name).ok(),
        None => Some(attachment),
    }
}
