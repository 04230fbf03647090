"""Image files: the marks of their formats, and in which words one that cannot be used is refused.

`pipelines` reads headers in Python, `export` by TensorFlow's operations; they say the same.
"""

# At the start of what TensorFlow reads; a WebP has also "WEBP" behind the size.
STARTS = {
    "jpeg": b"\xff\xd8\xff",
    "png": b"\x89PNG\r\n\x1a\n",
    "gif": b"GIF8",
    "bmp": b"BM",
    "webp": b"RIFF",
}
NAMES = {"jpeg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "webp": "WebP"}

# Formats that people have and TensorFlow does not read: where their mark is, the mark, the name,
# and the usual suffix.
OTHERS = (
    (0, b"II*\0", "TIFF", "tif"),
    (0, b"MM\0*", "TIFF", "tif"),
    (0, b"II+\0", "BigTIFF", "tif"),
    (0, b"MM\0+", "BigTIFF", "tif"),
    (128, b"DICM", "DICOM", "dcm"),
    (4, b"ftypavif", "AVIF", "avif"),
    (4, b"ftypavis", "AVIF", "avif"),
    (4, b"ftyphei", "HEIC", "heic"),
    (4, b"ftyphev", "HEIC", "heic"),
    (4, b"ftypmif1", "HEIC", "heic"),
    (4, b"ftypmsf1", "HEIC", "heic"),
    (0, b"\xff\x0a", "JPEG XL", "jxl"),
    (4, b"JXL ", "JPEG XL", "jxl"),
    (4, b"jP  ", "JPEG 2000", "jp2"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000", "j2k"),
)

JPEG_END = b"\xff\xd9"
PNG_END = b"IEND\xaeB`\x82"
JPEG_ADOBE = b"Adobe"  # the start of such a segment
EXIF_LITTLE, EXIF_BIG = b"II*\0", b"MM\0*"  # the start of EXIF data, by the order of their bytes
EXIF_NAME = b"Exif\0\0"  # before that in a JPEG, and perhaps in a WebP
PNG_EXIF = (b"eXIf" + EXIF_LITTLE, b"eXIf" + EXIF_BIG)
ORIENTATION, SHORT = 0x0112, 3  # the tag of that entry, and its form: a number of 16 bits
MOST_ENTRIES = 512  # of EXIF data that are looked at
BMP_MASKS = b"\0\0\xff\0\0\xff\0\0\xff\0\0\0"  # of 32 bits, as the decoder reads them unasked

# Processes of a JPEG, by the distance of their marker from the first.
JPEG_DECODED = (0, 1, 2, 9, 10)  # baseline, sequential, progressive; the latter two, arithmetic
JPEG_LOSSLESS = (3, 11)

# Why an image is refused; "{}" stands for what a header says.
EMPTY = "empty file"
UNKNOWN = "not a JPEG, PNG, GIF, BMP or WebP image"
OTHER = "{}, which is not read"
TRUNCATED = "truncated image"
NO_PIXELS = "has no pixels"
DAMAGED = "{} that cannot be decoded: damaged, or of a rare form"
LOSSLESS = "lossless JPEG, which cannot be decoded"
HIERARCHICAL = "hierarchical JPEG, which cannot be decoded"
JPEG_BITS = "JPEG of {} bits, which cannot be decoded"
JPEG_CHANNELS = "JPEG of {} channels, which cannot be decoded"
CMYK = "CMYK JPEG without an Adobe mark, whose colors are not certain"
PNG_FEW_BITS = (
    "16-bit PNG with values of {} bits, which would be nearly black: scale them to 16 bits, or to 8"
)
GIF_EXTENSION = "GIF with an empty extension, which cannot be decoded"
GIF_PARTIAL = "GIF whose first frame does not fill it"
GIF_OUTSIDE = "GIF with a frame larger than it"
BMP_OS2 = "BMP of OS/2, which cannot be decoded"
BMP_PACKING = "BMP with {}, which cannot be decoded"
BMP_PACKINGS = {
    "run-length encoding": (1, 2),
    "bit masks": (3, 6),
    "a JPEG inside": (4,),
    "a PNG inside": (5,),
    "CMYK": (11, 12, 13),
}
BMP_PALETTE_BITS = "BMP with a palette of {} bits, which cannot be decoded"
BMP_BITS = "BMP of {} bits, which cannot be decoded"
BMP_PALETTE = "BMP with a palette of colors, which cannot be decoded"
WEBP_ANIMATED = "animated WebP, of which there is no single image"
