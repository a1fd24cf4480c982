package frame

// What whoever sends other formats can do.
const (
	sendJPEG  = "send JPEG or PNG"
	sendTurn  = "have the camera or phone take JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible), or convert it"
	sendPlay  = "it is a video, and a record holds one picture: play it with the camera tool, --source=FILE"
	sendBytes = "send the file's bytes as the value, not a text made of them"
)

// foreigners are the formats that senders take for one that is read, by what they begin
// with; a dot stands for any byte.
var foreigners = []struct{ begin, kind, advice string }{
	{"RIFF....WEBP", "a WebP", sendJPEG},
	{"RIFF....AVI ", "an AVI", sendPlay},
	{"....ftypavi", "an AVIF", sendJPEG}, // avif and avis
	{"....ftypmif1", "an HEIF", sendTurn},
	{"....ftypmsf1", "an HEIF", sendTurn},
	{"....ftyphei", "an HEIC", sendTurn}, // heic, heix, heim, heis
	{"....ftyphev", "an HEIC", sendTurn},
	{"....ftyp", "an MP4", sendPlay},
	{"\x1A\x45\xDF\xA3", "a Matroska or WebM", sendPlay},
	{"\x00\x00\x00\x01\x67", "H.264", sendPlay},
	{"\x00\x00\x00\x01\x40", "H.265", sendPlay},
	{"GIF87a", "a GIF", sendJPEG},
	{"GIF89a", "a GIF", sendJPEG},
	{"BM", "a BMP", sendJPEG},
	{"II*\x00", "a TIFF", sendJPEG},
	{"MM\x00*", "a TIFF", sendJPEG},
	{"II+\x00", "a TIFF", sendJPEG},
	{"MM\x00+", "a TIFF", sendJPEG},
	{"....jP  \r\n\x87\n", "a JPEG 2000", sendJPEG},
	{"\xFF\x4F\xFF\x51", "a JPEG 2000", sendJPEG},
	{"....JXL \r\n\x87\n", "a JPEG XL", sendJPEG},
	{"\xFF\x0A", "a JPEG XL", sendJPEG},
	{"/9j/", "a JPEG as base64", sendBytes},
	{"iVBORw0KGgo", "a PNG as base64", sendBytes},
	{"data:image/", "a data: address", sendBytes},
	{"{\"", "JSON", sendBytes},
}

// foreign returns what a value is that begins as none of the files that are read, and
// what its sender can do. Both are empty for what it does not know.
func foreign(value []byte) (kind, advice string) {
next:
	for _, f := range foreigners {
		if len(value) < len(f.begin) {
			continue
		}
		for i := range len(f.begin) {
			if c := f.begin[i]; c != '.' && c != value[i] {
				continue next
			}
		}
		return f.kind, f.advice
	}
	return "", ""
}
