//! Packing layers, byte for byte as a case wants them: valid ones by default, broken ones on demand.

/// One entry of a layer.
#[derive(Debug, Clone)]
pub struct Item {
    name: Vec<u8>,
    kind: u8,
    content: Vec<u8>,
    link: Vec<u8>,
    mode: u32,
    owner: (u64, u64),
    time: (i64, u32),
    device: (u32, u32),
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The time of every entry that has no other: 2020-01-02T03:04:05Z.
pub const TIME: i64 = 1_577_934_245;

impl Item {
    fn new(kind: u8, name: impl Into<Vec<u8>>, mode: u32) -> Item {
        Item {
            name: name.into(),
            kind,
            content: Vec::new(),
            link: Vec::new(),
            mode,
            owner: (0, 0),
            time: (TIME, 0),
            device: (0, 0),
            records: Vec::new(),
        }
    }

    /// A regular file.
    pub fn file(name: impl Into<Vec<u8>>, content: impl Into<Vec<u8>>) -> Item {
        Item { content: content.into(), ..Item::new(b'0', name, 0o644) }
    }

    /// A directory.
    pub fn directory(name: impl Into<Vec<u8>>) -> Item {
        Item::new(b'5', name, 0o755)
    }

    /// A symbolic link.
    pub fn symlink(name: impl Into<Vec<u8>>, target: impl Into<Vec<u8>>) -> Item {
        Item { link: target.into(), ..Item::new(b'2', name, 0o777) }
    }

    /// A hard link.
    pub fn hard_link(name: impl Into<Vec<u8>>, target: impl Into<Vec<u8>>) -> Item {
        Item { link: target.into(), ..Item::new(b'1', name, 0o644) }
    }

    /// A character device.
    pub fn character(name: impl Into<Vec<u8>>, major: u32, minor: u32) -> Item {
        Item { device: (major, minor), ..Item::new(b'3', name, 0o600) }
    }

    /// A block device.
    pub fn block(name: impl Into<Vec<u8>>, major: u32, minor: u32) -> Item {
        Item { device: (major, minor), ..Item::new(b'4', name, 0o600) }
    }

    /// A fifo.
    pub fn fifo(name: impl Into<Vec<u8>>) -> Item {
        Item::new(b'6', name, 0o600)
    }

    /// With these permissions.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Item {
        self.mode = mode;
        self
    }

    /// Of this user and group.
    #[must_use]
    pub fn owner(mut self, uid: u64, gid: u64) -> Item {
        self.owner = (uid, gid);
        self
    }

    /// Last modified then: seconds and nanoseconds.
    #[must_use]
    pub fn time(mut self, seconds: i64, nanoseconds: u32) -> Item {
        self.time = (seconds, nanoseconds);
        self
    }

    /// With an extended attribute.
    #[must_use]
    pub fn xattr(self, name: &str, value: &[u8]) -> Item {
        self.record(&format!("SCHILY.xattr.{name}"), value)
    }

    /// With a PAX record.
    #[must_use]
    pub fn record(mut self, key: &str, value: &[u8]) -> Item {
        self.records.push((key.as_bytes().to_vec(), value.to_vec()));
        self
    }

    /// Of the type `kind`.
    #[must_use]
    pub fn kind(mut self, kind: u8) -> Item {
        self.kind = kind;
        self
    }

    /// As it stands in an archive.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let records = self.all_records();
        if !records.is_empty() {
            let text: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
            let header = Item { mode: 0o644, ..Item::new(b'x', &b"pax"[..], 0o644) };
            bytes.extend_from_slice(&header.header(text.len() as u64));
            padded(&mut bytes, &text);
        }
        bytes.extend_from_slice(&self.header(self.content.len() as u64));
        padded(&mut bytes, &self.content);
        bytes
    }

    /// What the header has no room for goes into PAX records.
    fn all_records(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut records = Vec::new();
        let mut add = |key: &str, value: Vec<u8>| records.push((key.as_bytes().to_vec(), value));
        if self.name.len() > 100 {
            add("path", self.name.clone());
        }
        if self.link.len() > 100 {
            add("linkpath", self.link.clone());
        }
        for (key, id) in [("uid", self.owner.0), ("gid", self.owner.1)] {
            if id >= 1 << 21 {
                add(key, id.to_string().into_bytes());
            }
        }
        let (seconds, nanoseconds) = self.time;
        if nanoseconds != 0 || !(0..1 << 33).contains(&seconds) {
            add("mtime", decimal(seconds, nanoseconds).into_bytes());
        }
        records.extend(self.records.iter().cloned());
        records
    }

    fn header(&self, size: u64) -> [u8; 512] {
        let mut header = [0; 512];
        let mut put = |at: usize, text: &[u8]| {
            for (to, from) in header.iter_mut().skip(at).zip(text) {
                *to = *from;
            }
        };
        put(0, self.name.get(..self.name.len().min(100)).unwrap_or_default());
        put(100, &octal(u64::from(self.mode), 7));
        let small = |id: u64| if id < 1 << 21 { id } else { 0 };
        put(108, &octal(small(self.owner.0), 7));
        put(116, &octal(small(self.owner.1), 7));
        put(124, &octal(size, 11));
        let seconds = u64::try_from(self.time.0).ok().filter(|seconds| *seconds < 1 << 33);
        put(136, &octal(seconds.unwrap_or(0), 11));
        put(156, &[self.kind]);
        put(157, self.link.get(..self.link.len().min(100)).unwrap_or_default());
        put(257, b"ustar\x0000");
        put(329, &octal(u64::from(self.device.0), 7));
        put(337, &octal(u64::from(self.device.1), 7));
        seal(&mut header);
        header
    }
}

/// Writes the checksum of a header, as after every change to one.
pub fn seal(header: &mut [u8]) {
    let bytes = header.iter().enumerate().take(512);
    let sum: u64 = bytes.map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) }).sum();
    let text = format!("{sum:06o}\0 ");
    for (to, from) in header.iter_mut().skip(148).zip(text.bytes()) {
        *to = from;
    }
}

fn octal(number: u64, digits: usize) -> Vec<u8> {
    format!("{number:0digits$o}\0").into_bytes()
}

/// Seconds since 1970 and nanoseconds after them, which count towards the future before 1970 too.
fn decimal(seconds: i64, nanoseconds: u32) -> String {
    if seconds < 0 && nanoseconds > 0 {
        return format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds);
    }
    if nanoseconds > 0 { format!("{seconds}.{nanoseconds:09}") } else { seconds.to_string() }
}

/// A PAX record, whose length counts its own digits.
pub fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let mut length = body + 1;
    while length != body + length.to_string().len() {
        length = body + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

fn padded(bytes: &mut Vec<u8>, content: &[u8]) {
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
}

/// An archive of `items`, with its end.
pub fn archive(items: &[Item]) -> Vec<u8> {
    let mut bytes: Vec<u8> = items.iter().flat_map(Item::to_vec).collect();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Puts `item` in front of the end of an archive.
pub fn append(archive: &mut Vec<u8>, item: &Item) {
    archive.truncate(archive.len().saturating_sub(1024));
    archive.extend_from_slice(&item.to_vec());
    archive.resize(archive.len() + 1024, 0);
}
