//! Zstandard data (RFC 8878) from its first frame to its last: several frames may follow each other, others hold no
//! data, and what a frame's checksum says is held against what came out of it.

use std::io::{self, BufRead, ErrorKind, Read};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Unpacked bytes to have before they are handed on.
const PIECE: usize = 1 << 20;
/// The largest window that is unpacked, as of the zstd program: memory that a frame can ask for.
const WINDOW: u64 = 128 << 20;

/// Reads what all frames hold. An end inside a frame is `UnexpectedEof`.
pub(super) struct Frames<R> {
    input: Watched<R>,
    decoder: FrameDecoder,
    inside: bool,
}

/// Remembers whether a reader has come to its end.
struct Watched<R> {
    input: R,
    ended: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(bytes)?;
        self.ended |= count == 0 && !bytes.is_empty();
        Ok(count)
    }
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(input: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        Self { input: Watched { input, ended: false }, decoder, inside: false }
    }

    /// Begins the next frame that holds data; `false` at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.input.input.fill_buf()?.is_empty() {
                return Ok(false);
            }
            let mut magic = [0; 4];
            self.input.read_exact(&mut magic)?;
            if !matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18]) {
                let begun = self.decoder.init(magic.as_slice().chain(&mut self.input));
                return begun.map(|()| true).map_err(|error| self.explain(error));
            }
            let mut length = [0; 4];
            self.input.read_exact(&mut length)?;
            let length = u64::from(u32::from_le_bytes(length));
            if io::copy(&mut (&mut self.input).take(length), &mut io::sink())? < length {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn explain(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
        let kind = if self.input.ended { ErrorKind::UnexpectedEof } else { ErrorKind::InvalidData };
        io::Error::new(kind, error)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while !bytes.is_empty() {
            if !self.inside {
                if !self.begin()? {
                    return Ok(0);
                }
                self.inside = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let decoded = self.decoder.decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBytes(PIECE));
                decoded.map_err(|error| self.explain(error))?;
            }
            let count = self.decoder.read(bytes)?;
            if count > 0 {
                return Ok(count);
            }
            let promised = self.decoder.get_checksum_from_data();
            if promised.is_some() && promised != self.decoder.get_calculated_checksum() {
                return Err(io::Error::new(ErrorKind::InvalidData, "a checksum does not match"));
            }
            self.inside = false;
        }
        Ok(0)
    }
}
