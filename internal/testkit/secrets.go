package testkit

import (
	"slices"
	"strings"
)

// secrets are the parts of passwords in SecretAddresses. Nothing else has them.
var secrets = []string{"hush", "mum", "quiet"}

// HasSecret reports whether a text has a part of a password of SecretAddresses.
func HasSecret(text string) bool {
	return slices.ContainsFunc(secrets, func(part string) bool { return strings.Contains(text, part) })
}

// SecretAddresses are addresses of cameras with passwords in every place, which may be
// right or broken. None can be reached, and what is not a camera's address is no file.
var SecretAddresses = []string{
	"rtsp://hush:mum@127.0.0.1:1/door",
	"rtsp://hush:mum@127.0.0.1:1/quiet/mum?hush=mum",
	"rtsps://hush@127.0.0.1:1",
	"RTSP://hush:mum@127.0.0.1:1/",
	"rtsp://me:hush#mum@127.0.0.1:1/door",
	"rtsp://me:#hush@127.0.0.1:1/door",
	"rtsp://me:554#hush@127.0.0.1:1/door",
	"rtsp://me:hush/mum@127.0.0.1:1/door",
	"rtsp://me:12/mum@127.0.0.1:1/door",
	"rtsp://hush/mum@127.0.0.1:1/door",
	"rtsp://me:hush?mum@127.0.0.1:1/door",
	"rtsp://me:12?mum#quiet@127.0.0.1:1/door",
	"rtsp://me:hush%zzmum@127.0.0.1:1/door",
	"rtsp://me:hush%@127.0.0.1:1/door",
	"rtsp://me:hush@mum@127.0.0.1:1/door",
	"rtsp://me:hush@mum/quiet@127.0.0.1:1/door",
	"rtsp://me:hush\\mum@127.0.0.1:1/door",
	"rtsp://me:hush mum@127.0.0.1:1/door",
	"rtsp://me:hush\tmum\n@127.0.0.1:1/door",
	"rtsp://me:hush\"mum'@127.0.0.1:1/door",
	"rtsp://me:hush[mum]@127.0.0.1:1/door",
	"rtsp://me:hush:mum@127.0.0.1:port/door",
	"rtsp://me:hush%23mum@127.0.0.1:1/door",
	"rtsp://me:hush",
	"rtsp://me:hush@",
	"rtsp://@127.0.0.1:1/hush@mum",
	"rtsp://127.0.0.1:1/user=admin&password=hush&channel=1",
	"rtsp://127.0.0.1:1/user=admin&password=hush#mum&channel=1",
	"rtsp://127.0.0.1:1/user=admin_password=hush%zz_channel=1",
	"http://127.0.0.1:1/?pwd=hush/mum?quiet",
	"http://127.0.0.1:1/?user=me&pwd=hush@mum",
	"http://127.0.0.1:1/?user=me&pwd=hush&mum;quiet",
	"http://127.0.0.1:1/live/hush/mum",
	"https://127.0.0.1:1/?pwd=hush%zz#mum",
	"udp://me:hush@127.0.0.1:1/mum",
	"rstp://me:hush@127.0.0.1:1/mum",
	"rtsp:/me:hush@127.0.0.1:1/mum",
	"rtsp//me:hush@127.0.0.1:1/mum",
	"rtsp:me:hush@127.0.0.1:1",
	"//me:hush@127.0.0.1:1/mum",
	"://me:hush@127.0.0.1:1/mum",
	"me:hush@127.0.0.1:1/mum",
	"me:hush://127.0.0.1:1/mum",
	"127.0.0.1:1/user=admin&password=hush",
	"127.0.0.1/video?pwd=hush",
}
