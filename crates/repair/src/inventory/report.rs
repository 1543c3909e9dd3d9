//! One report: pages of the index go into a data file in memory; a file that is full is put into
//! the destination bucket; at the end the manifests.
//!
//! Each page is what the index says at its time, and no two pages are of one time: as on AWS, a
//! report is an eventually consistent list. What a reader needs is there before what names it:
//! data files, then `symlink.txt` and `manifest.json`, then `manifest.checksum`.

use std::mem;

use ::inventory::{Configuration, DataFile, Entry, Full, Object, Report, Versions, Writer};
use bytes::Bytes;
use metastore::api::index::{
    ListAfter, ListEntry, ListedObject, ListedVersion, Origin, VersionEntry, VersionsAfter,
};
use objects::{
    Objects,
    body::MemoryBody,
    request::{Delete, Put},
};
use types::{Attributes, Condition, UnixMillis, Version, VersionId};

use super::cursor::Run;
use crate::Error;

/// Lines of one page of the index.
const PAGE: u32 = 1000;

/// A report under way.
pub(super) struct Running {
    objects: Objects,
    run: Run,
    configuration: Configuration,
    writer: Writer,
    files: Vec<DataFile>,
    after: After,
    /// Whether the data file takes no more rows.
    full: bool,
    /// Versions listed so far.
    pub(super) rows: u64,
}

/// Where the next page begins.
enum After {
    Objects(Option<ListAfter>),
    Versions(Option<VersionsAfter>),
    End,
}

/// What a step did.
pub(super) enum Stepped {
    /// It goes on.
    More,
    /// A data file is about to be written: so many there may be now.
    Files(u32),
    /// The report is complete.
    Done,
}

impl Running {
    /// Begins a report, or begins it again.
    pub(super) fn begin(
        objects: &Objects,
        run: Run,
        configuration: Configuration,
    ) -> Result<Self, Error> {
        let after = match configuration.versions {
            Versions::Current => After::Objects(None),
            Versions::All => After::Versions(None),
        };
        Ok(Self {
            objects: objects.clone(),
            writer: Writer::new(&configuration)?,
            run,
            configuration,
            files: Vec::new(),
            after,
            full: false,
            rows: 0,
        })
    }

    fn report(&self) -> Report<'_> {
        Report { bucket: &self.run.bucket, configuration: &self.configuration, at: self.run.at }
    }

    /// Whether it is the report of this run.
    pub(super) fn is_of(&self, run: &Run) -> bool {
        (&self.run.bucket, &self.run.id, self.run.at) == (&run.bucket, &run.id, run.at)
    }

    /// One page, and the data file that it fills. `known` data files may have been written: a
    /// file beyond them waits until the caller has made a note of it.
    pub(super) async fn step(&mut self, known: u32) -> Result<Stepped, Error> {
        if !self.full && !matches!(self.after, After::End) {
            let bound = self.page().await? == Full::Yes;
            let last = matches!(self.after, After::End) && self.writer.rows() > 0;
            self.full = bound || last;
        }
        if self.full {
            let number = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
            if number >= known {
                return Ok(Stepped::Files(number + 1));
            }
            self.put_data(number).await?;
            self.full = false;
        }
        if matches!(self.after, After::End) {
            self.put_manifests().await?;
            self.delete_strays(known).await?;
            return Ok(Stepped::Done);
        }
        Ok(Stepped::More)
    }

    /// Writes a page's rows into the data file.
    async fn page(&mut self) -> Result<Full, Error> {
        let Self { objects, run, configuration, writer, .. } = self;
        let prefix = configuration.prefix.as_deref().unwrap_or_default();
        let mut full = Full::No;
        let mut rows = 0;
        let mut push = |entry: &Entry<'_>| -> Result<(), Error> {
            rows += 1;
            if writer.push(&run.bucket, configuration, entry)? == Full::Yes {
                full = Full::Yes;
            }
            Ok(())
        };
        let next = match &self.after {
            After::Objects(after) => {
                let page = objects.list(&run.bucket, prefix, None, after.clone(), PAGE).await?;
                for entry in &page.entries {
                    if let ListEntry::Object(object) = entry {
                        push(&current(object))?;
                    }
                }
                page.next.map(|next| After::Objects(Some(next)))
            }
            After::Versions(after) => {
                let page =
                    objects.list_versions(&run.bucket, prefix, None, after.clone(), PAGE).await?;
                for entry in &page.entries {
                    if let VersionEntry::Version { id, null, latest, what } = entry {
                        push(&version(*id, *null, *latest, what))?;
                    }
                }
                page.next.map(|next| After::Versions(Some(next)))
            }
            After::End => None,
        };
        self.rows += rows;
        self.after = next.unwrap_or(After::End);
        Ok(full)
    }

    /// Puts the data file, and begins the next one.
    async fn put_data(&mut self, number: u32) -> Result<(), Error> {
        let writer = mem::replace(&mut self.writer, Writer::new(&self.configuration)?);
        let key = self.report().data_key(number);
        let named = key.clone();
        // Up to 64 MiB are encoded and hashed: not on a thread that serves requests.
        let finish = move || -> Result<_, ::inventory::WriteError> {
            let bytes = Bytes::from(writer.finish()?);
            let file = DataFile::of(named, &bytes);
            Ok((file, MemoryBody::new(bytes)))
        };
        let finished = tokio::task::spawn_blocking(finish).await;
        let (file, body) =
            finished.map_err(|error| Error::Unexpected(format!("a data file: {error}")))??;
        let kind = match self.configuration.destination.format {
            ::inventory::Format::Csv => "application/x-gzip",
            ::inventory::Format::Parquet => "application/vnd.apache.parquet",
        };
        self.put(key, kind, body).await?;
        self.files.push(file);
        Ok(())
    }

    async fn put_manifests(&self) -> Result<(), Error> {
        let report = self.report();
        let manifest = report.manifest(&self.files);
        let checksum = Report::checksum(&manifest);
        for (key, kind, bytes) in [
            (report.symlink_key(), "text/plain", report.symlink(&self.files)),
            (report.manifest_key("manifest.json"), "application/json", manifest),
            (report.manifest_key("manifest.checksum"), "text/plain", checksum),
        ] {
            self.put(key, kind, MemoryBody::new(bytes)).await?;
        }
        Ok(())
    }

    async fn put(&self, key: String, kind: &str, body: MemoryBody) -> Result<(), Error> {
        let attributes = Attributes {
            system: [("content-type".to_owned(), kind.to_owned())].into(),
            ..Attributes::default()
        };
        let put = Put {
            bucket: self.configuration.destination.bucket.clone(),
            key,
            condition: Condition::None,
            attributes,
            origin: Origin::default(),
            body: Box::new(body),
        };
        self.objects.put(put).await?;
        Ok(())
    }

    /// Deletes data files that an earlier try wrote and this one did not need.
    async fn delete_strays(&self, known: u32) -> Result<(), Error> {
        let used = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        for number in used..known {
            let delete = Delete {
                bucket: self.configuration.destination.bucket.clone(),
                key: self.report().data_key(number),
                version: None,
                condition: Condition::None,
                bypass_governance: false,
                origin: Origin::default(),
            };
            self.objects.delete(delete).await?;
        }
        Ok(())
    }
}

fn object(object: &ListedObject) -> Object {
    Object {
        size: object.size,
        etag: object.etag,
        class: object.class,
        checksum: object.checksum.map(|(algorithm, _)| algorithm),
        lock: object.lock,
    }
}

/// A report of current objects has no column of versions.
fn current(listed: &ListedObject) -> Entry<'_> {
    Entry {
        key: &listed.key,
        version: Version::Null,
        latest: true,
        modified: listed.modified,
        object: Some(object(listed)),
    }
}

fn version(id: VersionId, null: bool, latest: bool, what: &ListedVersion) -> Entry<'_> {
    let (modified, object): (UnixMillis, _) = match what {
        ListedVersion::Object(listed) => (listed.modified, Some(object(listed))),
        ListedVersion::Marker { modified, .. } => (*modified, None),
    };
    let version = if null { Version::Null } else { Version::Id(id) };
    Entry { key: what.key(), version, latest, modified, object }
}
