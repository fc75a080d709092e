//! A backup, written as its content comes.

use std::io::{self, Write};

use serde::Serialize;

use super::manifest::{DOCUMENT, END, MANIFEST, Manifest, ObjectHead, Totals};

/// zstd's own default.
const LEVEL: i32 = 3;
/// A tar archive consists of blocks of this many bytes.
const BLOCK: u64 = 512;
/// As many empty blocks end it.
const END_BLOCKS: usize = 2;

/// A backup under way. The content of a database or object follows its beginning, in as many parts as one likes.
pub struct Writer<W: Write> {
    out: zstd::Encoder<'static, W>,
    totals: Totals,
    size: u64,
    left: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a backup.
    ///
    /// # Errors
    /// Those of `into`.
    pub fn new(into: W, manifest: &Manifest) -> io::Result<Self> {
        let mut out = zstd::Encoder::new(into, LEVEL)?;
        out.include_checksum(true)?;
        let mut writer = Self { out, totals: Totals::default(), size: 0, left: 0 };
        writer.document(MANIFEST, manifest)?;
        Ok(writer)
    }

    /// Begins the dump of the manifest's next database, of as many bytes.
    ///
    /// # Errors
    /// Those of the file; the content before is incomplete.
    pub fn database(&mut self, size: u64) -> io::Result<()> {
        let name = format!("databases/{}.sql", self.totals.databases);
        self.totals.databases += 1;
        self.totals.bytes += size;
        self.begin(&name, size)
    }

    /// Begins an object.
    ///
    /// # Errors
    /// As [`Writer::database`].
    pub fn object(&mut self, head: &ObjectHead) -> io::Result<()> {
        let at = self.totals.objects;
        self.document(&format!("objects/{at}.json"), head)?;
        self.totals.objects += 1;
        self.totals.bytes += head.size;
        self.begin(&format!("objects/{at}"), head.size)
    }

    /// Adds to the content of what was begun last.
    ///
    /// # Errors
    /// Those of the file; it is more than was said.
    pub fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other("more content came than was said"))?;
        self.out.write_all(bytes)
    }

    /// Ends the backup; the totals, and what it was written to.
    ///
    /// # Errors
    /// As [`Writer::database`].
    pub fn finish(mut self) -> io::Result<(Totals, W)> {
        let totals = self.totals;
        self.document(END, &totals)?;
        self.close()?;
        self.out.write_all(&[0; END_BLOCKS * BLOCK as usize])?;
        Ok((totals, self.out.finish()?))
    }

    fn document(&mut self, name: &str, document: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(document)?;
        if text.len() as u64 > DOCUMENT {
            return Err(io::Error::other(format!("{name} has {} bytes, the most is {DOCUMENT}", text.len())));
        }
        self.begin(name, text.len() as u64)?;
        self.content(&text)
    }

    fn begin(&mut self, name: &str, size: u64) -> io::Result<()> {
        self.close()?;
        let mut header = tar::Header::new_gnu();
        header.set_path(name)?;
        header.set_size(size);
        header.set_mode(0o600);
        header.set_cksum();
        (self.size, self.left) = (size, size);
        self.out.write_all(header.as_bytes())
    }

    fn close(&mut self) -> io::Result<()> {
        if self.left > 0 {
            return Err(io::Error::other(format!("content ended {} bytes too early", self.left)));
        }
        let padding = (BLOCK - self.size % BLOCK) % BLOCK;
        self.size = 0;
        self.out.write_all(&[0; BLOCK as usize][..padding as usize])
    }
}
