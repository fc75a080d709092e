//! The one file in an archive, as the archive API wraps a single file (POSIX ustar: a header block of 512 bytes, the
//! size in octal at offset 124, the type at 156, then the content).

const BLOCK: usize = 512;

/// The content of the first regular file of the archive.
pub(super) fn first_file(archive: &[u8]) -> Option<&[u8]> {
    let mut rest = archive;
    while rest.len() > BLOCK {
        let (header, body) = rest.split_at(BLOCK);
        let digits = std::str::from_utf8(&header[124..136]).ok()?.trim_matches(['\0', ' ']);
        let size = usize::from_str_radix(digits, 8).ok()?;
        if matches!(header[156], b'0' | 0) {
            return body.get(..size);
        }
        rest = body.get(size.checked_next_multiple_of(BLOCK)?..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u8, content: &[u8]) -> Vec<u8> {
        let mut block = vec![0; BLOCK];
        block[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
        block[156] = kind;
        block.extend(content);
        block.resize(block.len().next_multiple_of(BLOCK), 0);
        block
    }

    #[test]
    fn the_file_behind_an_extended_header_is_found() {
        let archive = [entry(b'x', b"path=kubeconfig.yaml"), entry(b'0', b"apiVersion: v1")].concat();
        assert_eq!(first_file(&archive), Some(&b"apiVersion: v1"[..]));
    }

    proptest::proptest! {
        #[test]
        fn no_input_makes_it_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2048)) {
            let found = first_file(&bytes);
            proptest::prop_assert!(found.is_none_or(|file| file.len() <= bytes.len()));
        }
    }
}
