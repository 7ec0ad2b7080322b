//! Network devices of the caller's network namespace, by `rtnetlink(7)`: enough to make pairs of virtual
//! devices, to give them what a runtime must keep, and to see what they have.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use serde_json::{Value, json};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_GETADDR: u16 = 22;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CREATE_NEW: u16 = 0x600;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
/// Duplicate address detection would leave an address tentative for a second.
const IFA_F_NODAD: u32 = 2;
const IFF_UP: u32 = 1;
/// Lengths of `ifinfomsg` and `ifaddrmsg`.
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;

/// A conversation with the kernel about one network namespace: that of the thread that has opened it.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// What a device is to get; what is `None` stays.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change<'a> {
    pub up: Option<bool>,
    pub mtu: Option<u32>,
    pub alias: Option<&'a str>,
    pub hardware: Option<[u8; 6]>,
}

impl Netlink {
    pub(crate) fn open() -> Result<Netlink> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Netlink { socket, sequence: 0 })
    }

    /// Makes the two ends of a virtual cable.
    pub(crate) fn add_pair(&mut self, left: &str, right: &str) -> Result<()> {
        let mut peer = link_header(0, 0, 0);
        attribute(&mut peer, IFLA_IFNAME, &terminated(right));
        let mut data = Vec::new();
        attribute(&mut data, VETH_INFO_PEER, &peer);
        let mut info = Vec::new();
        attribute(&mut info, IFLA_INFO_KIND, b"veth");
        attribute(&mut info, IFLA_INFO_DATA, &data);
        let mut body = link_header(0, 0, 0);
        attribute(&mut body, IFLA_IFNAME, &terminated(left));
        attribute(&mut body, IFLA_LINKINFO, &info);
        self.ask(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE_NEW, &body).map(drop)
    }

    /// Removes the device called `name`, and with a cable's end the other.
    pub(crate) fn remove(&mut self, name: &str) -> Result<()> {
        let body = link_header(self.index(name)?, 0, 0);
        self.ask(RTM_DELLINK, NLM_F_ACK, &body).map(drop)
    }

    /// Changes the device called `name`.
    pub(crate) fn change(&mut self, name: &str, change: Change<'_>) -> Result<()> {
        let (flags, mask) = change.up.map_or((0, 0), |up| (if up { IFF_UP } else { 0 }, IFF_UP));
        let mut body = link_header(self.index(name)?, flags, mask);
        if let Some(mtu) = change.mtu {
            attribute(&mut body, IFLA_MTU, &mtu.to_ne_bytes());
        }
        if let Some(alias) = change.alias {
            attribute(&mut body, IFLA_IFALIAS, alias.as_bytes());
        }
        if let Some(hardware) = change.hardware {
            attribute(&mut body, IFLA_ADDRESS, &hardware);
        }
        self.ask(RTM_NEWLINK, NLM_F_ACK, &body).map(drop)
    }

    /// Gives the device called `name` a permanent address of global scope.
    pub(crate) fn add_address(&mut self, name: &str, address: IpAddr, prefix: u8) -> Result<()> {
        let body = address_body(self.index(name)?, address, prefix);
        self.ask(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE_NEW, &body).map(drop)
    }

    /// Takes an address from the device called `name`.
    pub(crate) fn remove_address(&mut self, name: &str, address: IpAddr, prefix: u8) -> Result<()> {
        let body = address_body(self.index(name)?, address, prefix);
        self.ask(RTM_DELADDR, NLM_F_ACK, &body).map(drop)
    }

    fn index(&mut self, name: &str) -> Result<i32> {
        let found = self.links()?.into_iter().find(|(_, link)| link["name"] == name);
        found.map(|(index, _)| index).ok_or(Errno::NODEV)
    }

    /// Every device by name: `up`, `mtu`, `hardware`, `alias`, and its `addresses` with prefix and scope.
    pub(crate) fn describe(&mut self) -> Result<BTreeMap<String, Value>> {
        let mut links = self.links()?;
        for (_, body) in self.ask(RTM_GETADDR, NLM_F_DUMP, &[0; ADDRESS_HEADER])? {
            let (Some(head), Some(rest)) = (body.get(..ADDRESS_HEADER), body.get(ADDRESS_HEADER..)) else {
                continue;
            };
            let Some((_, link)) = links.iter_mut().find(|(index, _)| Some(*index) == number(head, 4)) else {
                continue;
            };
            let attributes = attributes(rest);
            let bytes = attributes.get(&IFA_LOCAL).or_else(|| attributes.get(&IFA_ADDRESS));
            let address = bytes.and_then(|bytes| address(bytes));
            let address = json!({"address": address, "prefix": head.get(1), "scope": head.get(3)});
            if let Some(list) = link["addresses"].as_array_mut() {
                list.push(address);
            }
        }
        let named = |(_, link): (i32, Value)| Some((link["name"].as_str()?.to_owned(), link));
        Ok(links.into_iter().filter_map(named).collect())
    }

    fn links(&mut self) -> Result<Vec<(i32, Value)>> {
        let mut found = Vec::new();
        for (_, body) in self.ask(RTM_GETLINK, NLM_F_DUMP, &link_header(0, 0, 0))? {
            let (Some(head), Some(rest)) = (body.get(..LINK_HEADER), body.get(LINK_HEADER..)) else {
                continue;
            };
            let attributes = attributes(rest);
            let text = |kind: u16| {
                let bytes = attributes.get(&kind)?;
                Some(String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned())
            };
            let hardware = attributes
                .get(&IFLA_ADDRESS)
                .map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"));
            let link = json!({
                "name": text(IFLA_IFNAME),
                "up": number(head, 8).unwrap_or_default() & IFF_UP as i32 != 0,
                "mtu": attributes.get(&IFLA_MTU).and_then(|bytes| number(bytes, 0)),
                "hardware": hardware,
                "alias": text(IFLA_IFALIAS),
                "addresses": [],
            });
            found.push((number(head, 4).unwrap_or_default(), link));
        }
        Ok(found)
    }

    /// Sends one request; the messages that answer it, by kind.
    fn ask(&mut self, kind: u16, flags: u16, body: &[u8]) -> Result<Vec<(u16, Vec<u8>)>> {
        self.sequence += 1;
        let length = u32::try_from(16 + body.len()).map_err(|_| Errno::MSGSIZE)?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        message.extend_from_slice(&0u32.to_ne_bytes());
        message.extend_from_slice(body);
        send(&self.socket, &message, SendFlags::empty())?;
        let mut answers = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let (length, _) = recv(&self.socket, &mut buffer[..], RecvFlags::empty())?;
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some((kind, body, after)) = next_message(rest) {
                match kind {
                    NLMSG_DONE => return Ok(answers),
                    NLMSG_ERROR => match number(body, 0) {
                        Some(0) | None => return Ok(answers),
                        Some(code) => return Err(Errno::from_raw_os_error(-code)),
                    },
                    kind => answers.push((kind, body.to_vec())),
                }
                rest = after;
            }
        }
    }
}

/// Kind and body of the first message of `bytes`, and what comes after it.
fn next_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(number(bytes, 0)?).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, bytes.get(16..length)?, after))
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn link_header(index: i32, flags: u32, mask: u32) -> Vec<u8> {
    let mut header = vec![0; 4];
    header.extend_from_slice(&index.to_ne_bytes());
    header.extend_from_slice(&flags.to_ne_bytes());
    header.extend_from_slice(&mask.to_ne_bytes());
    header
}

fn address_body(index: i32, address: IpAddr, prefix: u8) -> Vec<u8> {
    let (family, bytes) = match address {
        IpAddr::V4(address) => (AddressFamily::INET, address.octets().to_vec()),
        IpAddr::V6(address) => (AddressFamily::INET6, address.octets().to_vec()),
    };
    let mut body = vec![family.as_raw() as u8, prefix, 0, 0];
    body.extend_from_slice(&index.to_ne_bytes());
    attribute(&mut body, IFA_LOCAL, &bytes);
    attribute(&mut body, IFA_ADDRESS, &bytes);
    attribute(&mut body, IFA_FLAGS, &IFA_F_NODAD.to_ne_bytes());
    body
}

fn terminated(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn attributes(mut bytes: &[u8]) -> BTreeMap<u16, &[u8]> {
    let mut found = BTreeMap::new();
    while let (Some([a, b]), Some([c, d])) = (bytes.get(..2), bytes.get(2..4)) {
        let length = usize::from(u16::from_ne_bytes([*a, *b]));
        let Some(value) = bytes.get(4..length) else { break };
        found.insert(u16::from_ne_bytes([*c, *d]), value);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn address(bytes: &[u8]) -> Option<String> {
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Some(address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_is_seen() {
        let devices = Netlink::open().unwrap().describe().unwrap();
        assert_eq!(devices["lo"]["hardware"], "00:00:00:00:00:00");
        assert_eq!(Netlink::open().unwrap().index("no-such-device"), Err(Errno::NODEV));
    }

    #[test]
    fn attributes_survive_their_encoding_and_garbage_does_not_panic() {
        let mut message = Vec::new();
        attribute(&mut message, 7, b"abc");
        attribute(&mut message, 9, &[]);
        assert_eq!(attributes(&message), BTreeMap::from([(7, &b"abc"[..]), (9, &[][..])]));
        for garbage in [&[][..], &[0, 0, 0, 0][..], &[255; 9][..], &[3, 0, 1, 0][..]] {
            attributes(garbage);
            next_message(garbage);
        }
        assert_eq!(next_message(&[255; 20]), None);
    }
}
