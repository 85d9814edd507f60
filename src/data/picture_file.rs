//! Picture files, and how one becomes a picture of a size. The only file that names the crate `image`.

/// How a picture of another shape fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// Its middle is taken.
    #[default]
    Crop,
    /// It is stretched.
    Squash,
}

/// How pixels are made of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// Linear, over all pixels that one covers.
    #[default]
    Bilinear,
    /// Cubic, in the same way.
    Bicubic,
}

/// How a picture becomes one of a size.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Preparation {
    /// Height and width.
    pub size: [usize; 2],
    /// How a picture of another shape fits.
    pub fit: Fit,
    /// The part of a picture's side that is taken, in the middle, if it is cropped.
    pub crop_pct: f64,
    /// How pixels are made of others.
    pub interpolation: Interpolation,
}

impl Preparation {
    /// The largest crop of the picture in this size, as torchvision's `Resize` and `CenterCrop`.
    pub fn new(size: [usize; 2]) -> Preparation {
        let (fit, interpolation) = (Fit::default(), Interpolation::default());
        Preparation { size, fit, crop_pct: 1.0, interpolation }
    }
}

#[cfg(all(feature = "pictures", feature = "demo"))]
pub(super) use decoded::pixels;
#[cfg(feature = "pictures")]
pub use decoded::to_png;

#[cfg(feature = "pictures")]
mod decoded {
    use super::{Fit, Interpolation, Preparation};
    use image::codecs::png::PngEncoder;
    use image::imageops::{FilterType, crop_imm, resize};
    use image::metadata::Orientation;
    use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageError, ImageReader, RgbImage};
    use std::io::Cursor;

    /// Bytes of the largest picture that is unpacked.
    const MOST_BYTES: u64 = 1 << 29;

    /// Pixels of the largest picture of which a middle is taken.
    const MOST_RESIZED: u64 = 1 << 26;

    impl Preparation {
        /// The picture of a file in PNG or JPEG: `[height, width, 3]` bytes, red, green and blue. Grey becomes colour, 16 bits
        /// become 8, transparency is left out as torchvision leaves it out, and a photograph is turned as its camera says.
        ///
        /// # Errors
        /// What is wrong with the file.
        pub fn picture(&self, file: &[u8]) -> Result<Vec<u8>, String> {
            Ok(self.fitted(unpacked(file)?)?.into_raw())
        }

        /// Pixels that are unpacked already, `[height, width, 3]` bytes.
        ///
        /// # Errors
        /// Sizes that do not fit the bytes.
        pub fn of_bytes(&self, [height, width]: [usize; 2], bytes: Vec<u8>) -> Result<Vec<u8>, String> {
            let picture = RgbImage::from_raw(width as u32, height as u32, bytes);
            Ok(self.fitted(picture.ok_or("the picture has other sizes")?)?.into_raw())
        }

        fn fitted(&self, picture: RgbImage) -> Result<RgbImage, String> {
            let [height, width] = self.size.map(|side| side as u32);
            let filter = match self.interpolation {
                Interpolation::Bilinear => FilterType::Triangle,
                Interpolation::Bicubic => FilterType::CatmullRom,
            };
            let sides = [picture.width(), picture.height()];
            let [resized_width, resized_height] = self.resized(sides);
            if u64::from(resized_width) * u64::from(resized_height) > MOST_RESIZED {
                return Err(format!(
                    "{} x {} pixels are too long and thin for its middle to be taken",
                    sides[1], sides[0]
                ));
            }
            let is_there = (picture.width(), picture.height()) == (resized_width, resized_height);
            let resized = if is_there { picture } else { resize(&picture, resized_width, resized_height, filter) };
            if (resized_width, resized_height) == (width, height) {
                return Ok(resized);
            }
            let middle = |side: u32, of: u32| (f64::from(side - of) / 2.0).round_ties_even() as u32;
            let [left, top] = [middle(resized_width, width), middle(resized_height, height)];
            Ok(crop_imm(&resized, left, top, width, height).to_image())
        }

        /// Width and height before the crop.
        fn resized(&self, sides: [u32; 2]) -> [u32; 2] {
            let [height, width] = self.size.map(|side| side as f64);
            if self.fit == Fit::Squash {
                return [width as u32, height as u32];
            }
            let least = [width, height].map(|side| (side / self.crop_pct).floor());
            let sides = sides.map(f64::from);
            let scale = (least[0] / sides[0]).max(least[1] / sides[1]);
            // As torchvision: the side that decides is exact, the other one is cut off.
            [0, 1].map(|side: usize| (sides[side] * scale + 1e-9).floor().max(least[side]) as u32)
        }
    }

    /// The picture of a file as it is: height and width, and `[height, width, 3]` bytes.
    #[cfg(feature = "demo")]
    pub(in crate::data) fn pixels(file: &[u8]) -> Result<([usize; 2], Vec<u8>), String> {
        let picture = unpacked(file)?;
        Ok(([picture.height() as usize, picture.width() as usize], picture.into_raw()))
    }

    /// A picture of `[height, width, 3]` bytes as a file in PNG.
    ///
    /// # Errors
    /// Sizes that do not fit the bytes.
    pub fn to_png([height, width]: [usize; 2], bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut file = Vec::new();
        PngEncoder::new(&mut file)
            .write_image(bytes, width as u32, height as u32, ExtendedColorType::Rgb8)
            .map_err(|error| error.to_string())?;
        Ok(file)
    }

    fn unpacked(file: &[u8]) -> Result<RgbImage, String> {
        let told = |error: ImageError| match error {
            ImageError::Unsupported(_) => match image::guess_format(file) {
                Ok(format) => format!("it is a file in {format:?}; PNG and JPEG are read"),
                Err(_) => "it is neither PNG nor JPEG".to_owned(),
            },
            ImageError::Limits(_) => too_large(),
            error => error.to_string().replace('\n', " "),
        };
        if file.is_empty() {
            return Err("the file is empty".to_owned());
        }
        // The decoder fills what is missing with grey.
        if file.starts_with(&[0xff, 0xd8]) && !ends_as_jpeg(file) {
            return Err("the file is cut short: it has no end of the picture".to_owned());
        }
        let reader = ImageReader::new(Cursor::new(file)).with_guessed_format().map_err(|error| error.to_string())?;
        let mut decoder = reader.into_decoder().map_err(told)?;
        if decoder.total_bytes() > MOST_BYTES {
            return Err(too_large());
        }
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut picture = DynamicImage::from_decoder(decoder).map_err(told)?;
        picture.apply_orientation(orientation);
        Ok(picture.into_rgb8())
    }

    /// Whether a JPEG file comes to its end, which is behind its last scan: a preview inside it has an end of its own.
    fn ends_as_jpeg(file: &[u8]) -> bool {
        let mut at = 2;
        loop {
            // From marker to marker; within a scan 0xff is followed by 0 or by a restart.
            let Some(marker) = file[at.min(file.len())..]
                .windows(2)
                .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xff | 0xd0..=0xd7))
            else {
                return false;
            };
            at += marker;
            if file[at + 1] == 0xd9 {
                return true;
            }
            let Some(length) = file.get(at + 2..at + 4) else { return false };
            at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
        }
    }

    fn too_large() -> String {
        format!("the picture has more than {} MB", MOST_BYTES >> 20)
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use image::codecs::jpeg::JpegEncoder;

        #[test]
        fn a_jpeg_that_is_cut_short_is_refused_and_a_preview_inside_is_no_end() {
            let pixels: Vec<u8> = (0..32u32 * 32 * 3).map(|at| (at * at % 251) as u8).collect();
            let mut file = Vec::new();
            JpegEncoder::new(&mut file).encode(&pixels, 32, 32, ExtendedColorType::Rgb8).expect("a file");
            let preparation = Preparation::new([8, 8]);
            assert!(preparation.picture(&file).is_ok());
            for share in [2, 3, 5, 9] {
                let told = preparation.picture(&file[..file.len() * share / 10]).expect_err("refused");
                assert!(told.contains("cut short"), "{share}: {told}");
            }
            // A segment that holds an end, as a preview's.
            let preview = [0xff, 0xe1, 0x00, 0x06, 0xff, 0xd9, 0xff, 0xd9];
            let with_preview = [&file[..2], &preview, &file[2..]].concat();
            assert!(preparation.picture(&with_preview).is_ok());
            assert!(preparation.picture(&with_preview[..with_preview.len() / 2]).is_err());
            assert!(preparation.picture(&[&file[..], b"junk behind it"].concat()).is_ok());
        }

        #[test]
        fn a_picture_of_one_line_is_refused_where_its_middle_would_be_huge() {
            let line = to_png([1, 60_000], &[7; 180_000]).expect("a file");
            let told = Preparation::new([224, 224]).picture(&line).expect_err("refused");
            assert!(told.contains("1 x 60000 pixels are too long and thin"), "{told}");
            let squash = Preparation { fit: Fit::Squash, ..Preparation::new([4, 4]) };
            assert_eq!(squash.picture(&line).expect("a picture"), [7; 48]);
        }
    }
}

#[cfg(not(feature = "pictures"))]
impl Preparation {
    /// Without the feature `pictures` no file is read.
    ///
    /// # Errors
    /// That it is so.
    pub fn picture(&self, _file: &[u8]) -> Result<Vec<u8>, String> {
        Err("this program was built without the feature pictures".to_owned())
    }

    /// Pixels that are unpacked already, `[height, width, 3]` bytes, of the size that is wanted.
    ///
    /// # Errors
    /// For another size.
    pub fn of_bytes(&self, size: [usize; 2], bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        match size == self.size {
            true => Ok(bytes),
            false => Err("this program was built without the feature pictures, and resizes none".to_owned()),
        }
    }
}
