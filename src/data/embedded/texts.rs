//! Two texts that are part of the program.

use crate::data::Text;
use std::borrow::Cow;

/// Psalms, Proverbs and the four Gospels in the King James translation of 1611: 7,155 verses, one a line, 739,950 bytes
/// of ASCII (Debian's package bible-kjv-text 4.38; see `data/kjv/README.md`).
pub fn kjv() -> Text {
    Text {
        name: "kjv".to_owned(),
        text: Cow::Borrowed(include_str!("../../../data/kjv/kjv.txt")),
        licence: include_str!("../../../data/kjv/LICENSE"),
    }
}

/// Definitions of 6,298 nouns and verbs by WordNet 3.0, one a line, 399,960 bytes of ASCII (Debian's package wordnet-base
/// 1:3.0-37; see `data/glosses/README.md`). A program that holds them must hold their [licence](Text::licence) too.
pub fn glosses() -> Text {
    Text {
        name: "glosses".to_owned(),
        text: Cow::Borrowed(include_str!("../../../data/glosses/glosses.txt")),
        licence: include_str!("../../../data/glosses/LICENSE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Vocabulary;

    #[test]
    fn embedded_texts_are_whole_and_carry_their_licences() {
        let (kjv, glosses) = (kjv(), glosses());
        assert_eq!((kjv.as_str().len(), kjv.as_str().lines().count()), (739_950, 7_155));
        assert_eq!((glosses.as_str().len(), glosses.as_str().lines().count()), (399_960, 6_298));
        assert_eq!(crc32fast::hash(kjv.as_str().as_bytes()), KJV);
        assert_eq!(crc32fast::hash(glosses.as_str().as_bytes()), GLOSSES);
        assert!(kjv.licence().contains("1611"));
        assert!(glosses.licence().contains("WordNet 3.0 Copyright 2006 by Princeton University"));
    }

    const KJV: u32 = 0xcfa8_61c1;
    const GLOSSES: u32 = 0x959d_828f;

    #[test]
    fn both_texts_come_back_as_they_were() {
        let texts = [kjv(), glosses()];
        let both = Vocabulary::of(&[&texts[0], &texts[1]]).expect("a vocabulary");
        assert_eq!(both, Vocabulary::of(&[&texts[1], &texts[0]]).expect("a vocabulary"));
        let order: String = both.characters().iter().collect();
        assert_eq!(order, "\n !\"$%'()+,-./0123456789:;=?ABCDEFGHIJKLMNOPQRSTUVWXYZ^`abcdefghijklmnopqrstuvwxyz");
        let ascii = Vocabulary::printable_ascii();
        assert_eq!((both.len(), ascii.len()), (82, 96));
        for vocabulary in [both, ascii, Vocabulary::ascii()] {
            for text in &texts {
                let tokens = vocabulary.encode(text).expect("tokens");
                assert_eq!(tokens.len(), text.as_str().len());
                assert_eq!(vocabulary.decode(&tokens).expect("a text"), text.as_str());
            }
        }
    }
}
