//! A text as one stream of tokens, from which batches are drawn on the device.

use super::{BatchSize, Error};
use crate::twin::shared::GatherTokens;

/// A stream of tokens, each checked against its vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenStream {
    tokens: Vec<u32>,
    vocabulary: usize,
}

impl TokenStream {
    /// The stream of these tokens of a vocabulary of so many entries.
    ///
    /// # Errors
    /// [`Error::EmptyText`], [`Error::TextTooLong`], [`Error::TokenOutOfRange`].
    pub fn new(tokens: Vec<u32>, vocabulary: usize) -> Result<TokenStream, Error> {
        if tokens.is_empty() {
            return Err(Error::EmptyText { name: "token stream".to_owned() });
        }
        // The kernel counts the place after a token in 32 bits.
        if tokens.len() >= u32::MAX as usize {
            return Err(Error::TextTooLong { tokens: tokens.len() });
        }
        match tokens.iter().position(|token| *token as usize >= vocabulary) {
            Some(place) => Err(Error::TokenOutOfRange { place, token: tokens[place], vocabulary }),
            None => Ok(TokenStream { tokens, vocabulary }),
        }
    }

    /// The tokens, in order.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Entries of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// The part to train on, and the last `percent` of the stream, held out. They share no token and no border: no
    /// target of the first is in the second.
    ///
    /// # Errors
    /// [`Error::BadTextSplit`] if either would be empty.
    pub fn split(&self, percent: usize) -> Result<(TokenStream, TokenStream), Error> {
        let tokens = self.tokens.len();
        let held_out = (tokens as u128 * percent.min(100) as u128 + 50) / 100;
        let border = tokens - held_out as usize;
        if border == 0 || border == tokens {
            return Err(Error::BadTextSplit { tokens, percent });
        }
        let part = |tokens: &[u32]| TokenStream { tokens: tokens.to_vec(), vocabulary: self.vocabulary };
        Ok((part(&self.tokens[..border]), part(&self.tokens[border..])))
    }

    /// What the kernel `gather_tokens` needs to draw training batches: windows of `context` tokens that tile the stream
    /// from an offset that changes every epoch, in a new order every epoch. `micro` is 0, to be set for each
    /// micro-batch.
    ///
    /// As many windows as every offset leaves room for; at most two contexts of tokens are left out of an epoch, others
    /// each time.
    ///
    /// # Errors
    /// [`Error::TextTooShort`] below `context + 1` tokens, [`Error::BadBatch`].
    pub fn batches(&self, context: usize, size: BatchSize, seed: u32) -> Result<GatherTokens, Error> {
        self.check(context)?;
        let windows = ((self.tokens.len() - context) / context).max(1);
        let steps_per_epoch = size.steps_per_epoch(windows)?;
        Ok(GatherTokens {
            tokens: self.tokens.len() as u32,
            context: context as u32,
            samples: windows as u32,
            offsets: context.min(self.tokens.len() - windows * context) as u32,
            rows: size.rows as u32,
            steps_per_epoch,
            micro_batches: size.micro_batches as u32,
            seed,
            ..GatherTokens::default()
        })
    }

    /// What the kernel `gather_tokens` needs, with `SHUFFLE` = 0, to go once over all of the stream, so that every token
    /// but the first is a target once: a batch a step. The last window and the last batch may end in padding.
    ///
    /// # Errors
    /// [`Error::TextTooShort`] below `context + 1` tokens, [`Error::BadBatch`].
    pub fn evaluation(&self, context: usize, rows: usize) -> Result<GatherTokens, Error> {
        self.check(context)?;
        let windows = (self.tokens.len() - 1).div_ceil(context);
        let steps_per_epoch = BatchSize::covering(windows, rows, context)?;
        Ok(GatherTokens {
            tokens: self.tokens.len() as u32,
            context: context as u32,
            samples: windows as u32,
            offsets: 1,
            rows: rows as u32,
            steps_per_epoch,
            micro_batches: 1,
            ..GatherTokens::default()
        })
    }

    fn check(&self, context: usize) -> Result<(), Error> {
        if context == 0 || self.tokens.len() <= context {
            return Err(Error::TextTooShort { tokens: self.tokens.len(), context });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(tokens: u32) -> TokenStream {
        TokenStream::new((0..tokens).collect(), tokens as usize).expect("a stream")
    }

    #[test]
    fn a_split_loses_no_token_and_holds_out_the_end() {
        let (train, held_out) = stream(1001).split(10).expect("a split");
        assert_eq!((train.tokens().len(), held_out.tokens().len()), (901, 100));
        assert_eq!([train.tokens(), held_out.tokens()].concat(), stream(1001).tokens());
        for (tokens, percent) in [(1, 50), (10, 0), (10, 100), (3, 1)] {
            let told = stream(tokens).split(percent).expect_err("refused").to_string();
            assert_eq!(told, format!("{tokens} tokens cannot be split with {percent} % held out"));
        }
    }

    #[test]
    fn every_offset_leaves_room_for_every_window_and_its_target() {
        let size = BatchSize { rows: 1, micro_batches: 1 };
        for context in [1, 2, 7, 64] {
            for tokens in context + 1..4 * context + 3 {
                let shape = stream(tokens).batches(context as usize, size, 0).expect("a shape");
                assert!(shape.offsets >= 1 && shape.samples >= 1, "{shape:?}");
                assert!(shape.offsets - 1 + shape.samples * context < tokens, "{shape:?}");
                assert!(tokens < 2 * context || shape.offsets == context, "{shape:?}");
                assert!(tokens - shape.samples * context <= 2 * context, "{shape:?}");
            }
        }
    }

    #[test]
    fn what_makes_no_batches_is_told() {
        let told = |result: Result<GatherTokens, Error>| result.expect_err("refused").to_string();
        let size = |rows, micro_batches| BatchSize { rows, micro_batches };
        let short = "a context of 64 tokens needs a text of 65 at least; there are 64";
        assert_eq!(told(stream(64).batches(64, size(1, 1), 0)), short);
        assert_eq!(told(stream(64).evaluation(64, 1)), short);
        assert!(stream(65).batches(64, size(1, 1), 0).is_ok() && stream(65).evaluation(64, 1).is_ok());
        let much = "batch_size = 2 in 3 micro-batches from 5 samples: a step draws more than there are";
        assert_eq!(told(stream(65).batches(10, size(2, 3), 0)), much);
        for (rows, micro_batches) in [(0, 1), (1, 0), (usize::MAX, 2)] {
            assert!(stream(65).batches(10, size(rows, micro_batches), 0).is_err());
        }
        for rows in [0, usize::MAX, 1 << 31] {
            assert!(stream(65).evaluation(10, rows).is_err(), "{rows}");
        }
        let told = TokenStream::new(vec![3, 7], 7).expect_err("refused").to_string();
        assert_eq!(told, "token 1 is 7, but the vocabulary has 7 entries (0 to 6)");
        assert_eq!(
            TokenStream::new(Vec::new(), 7).expect_err("refused").to_string(),
            "token stream: the text is empty"
        );
    }
}
