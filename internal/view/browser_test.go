package view

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"facestream/internal/record"
	"facestream/internal/testkit"
	"facestream/internal/wait"
	"facestream/transforms/frame"
)

var updateDocs = flag.Bool("update", false, "take the screenshots in docs anew")

// patience is for what a busy machine does late.
const patience = time.Minute

// browser is a tab of a real one.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func openBrowser(t *testing.T) browser {
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: scripts/setup.sh tests installs it", err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox)...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	b := browser{t, ctx}
	b.do(chromedp.EmulateViewport(1280, 820), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Tokyo"})
		return err
	}))
	return b
}

func (b browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	testkit.Must(b.t, chromedp.Do(b.ctx, steps...))
}

// await waits until a page is there in which an expression is true.
func (b browser) await(expression string) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	if wait.Until(ctx, 50*time.Millisecond, func() bool {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](`document.readyState === "complete" && Boolean(`+expression+")"))
		return err == nil && ok // a page that is just loaded has no such thing yet
	}) != nil {
		page, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("location.href + document.body.innerText"))
		b.t.Fatalf("waiting for %s; the page is %.2000s", expression, page)
	}
}

// try does something in the page.
func (b browser) try(script string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Evaluate[bool]("(() => { "+script+"; return true })()")(ctx, t)
		return err
	}))
}

func (b browser) keys(keys ...string) { b.t.Helper(); b.do(chromedp.KeyEvent(strings.Join(keys, ""))) }

// shoot takes a screenshot for the docs.
func (b browser) shoot(name string) {
	if !*updateDocs {
		return
	}
	b.t.Helper()
	b.await("[...document.images].every(i => i.complete || i.getBoundingClientRect().top > innerHeight)")
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		quality := int64(80)
		shot, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatJpeg, Quality: &quality})
		if err == nil {
			testkit.WriteFile(b.t, filepath.Join("..", "..", "docs", name), shot.Data)
		}
		return err
	}))
}

// Every feature of the pages once, in a real browser.
func TestBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("opens a browser")
	}
	b := openBrowser(t)
	o := newOutput(t, t.TempDir(), "frames")
	var photos [][]byte
	var made []event
	for n := range 12 {
		data, box, landmarks := photo(t, n)
		photos, made = append(photos, data), append(made, event{Box: box, Landmarks: landmarks})
	}
	n := 0
	window := func(clock string, seconds int, cameras ...string) {
		begin := at(clock)
		var events []event
		for i := range seconds {
			e := made[n%len(made)]
			score := 0.99 - float64(n*7%25)/100
			e.Camera, e.TimestampMillis, e.Blur, e.Score = cameras[i%len(cameras)], begin+int64(i)*47_000, 80+float64(n*37%300), &score
			events = append(events, e)
			n++
		}
		first := n - seconds
		for i, e := range o.window(windowName(time.UnixMilli(begin), n), nil, events...) {
			o.write(e.Picture, photos[(first+i)%len(photos)])
			stored := time.UnixMilli(e.TimestampMillis + 800)
			testkit.Must(t, os.Chtimes(filepath.Join(o.cfg.Root, e.Picture), stored, stored))
		}
	}
	window("00:10:00", 60, "door", "hall")
	window("02:30:00", 90, "door", "garage", "hall")
	window("05:05:00", 40, "hall")
	window("07:40:00", 110, "garage", "door")
	o.window("20261124T074100.000Z-000000ff", []frame.Reject{{Camera: "garage", TimestampMillis: at("07:41:00"), Reason: frame.CorruptJPEG, Detail: "decoding the JPEG: Premature end of JPEG file", Head: photos[0][:64], Size: 20000}})
	s := serveOutput(t, o.cfg.Root, access{}).summarized()

	// The grid, in the viewer's zone, with crops that are cut out on the way.
	b.do(chromedp.Navigate(s.url))
	b.await(`document.body.dataset.zone === "Asia/Tokyo" && document.querySelectorAll("#tiles .tile").length === 60`)
	b.await(`document.querySelector("#tiles img").naturalWidth > 100`)
	b.await(`document.querySelector("#tiles time").textContent.startsWith("2026-11-24 18:05") && document.querySelector("#tiles time").title === "2026-11-24 09:05:23.000 UTC"`)
	b.await(`document.querySelectorAll(".lane").length === 3 && document.querySelector("#counts").textContent.includes("800ms") && getComputedStyle(document.querySelector(".lane path")).stroke !== "none"`)
	b.shoot("view-faces.jpg")

	// The next page and back.
	b.do(chromedp.Click(".pages a[rel=next]"))
	b.await(`location.search.includes("next=") && document.querySelectorAll("#tiles .tile").length === 60`)

	// A filter, which is in the address.
	b.try(`document.querySelector("[name=camera]").value = "door"; document.querySelector("[name=size]").value = "100"; document.querySelector(".filters button").click()`)
	b.await(`location.search.includes("camera=door") && location.search.includes("tz=Asia%2FTokyo") && [...document.querySelectorAll(".tile b")].every(b => b.textContent === "door") && document.querySelector(".tile")`)

	// To a minute of the timeline by the mouse.
	b.do(chromedp.Navigate(s.url))
	b.await(`document.querySelector("a[data-minutes='2026-11-24T16:']")`)
	b.try(`const a = document.querySelector("a[data-minutes='2026-11-24T16:']"), r = a.querySelector("rect").getBoundingClientRect();
		a.dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true, detail: 1, clientX: r.left + r.width * 0.755}))`)
	b.await(`/^2026-11-24T16:4[4-7]$/.test(new URLSearchParams(location.search).get("to")) && document.querySelector("#tiles time").textContent.startsWith("2026-11-24 16:4")`)

	// A picture, its neighbours and back by keys; boxes, landmarks and scores on and off.
	b.do(chromedp.Navigate(s.url + "/?show=frames"))
	b.await(`document.querySelector("#tiles .drawing rect.box") && document.querySelector("#tiles img").naturalWidth === 640`)
	b.keys(kb.ArrowRight, kb.ArrowRight, kb.ArrowLeft)
	b.await(`document.activeElement === document.querySelector("#tiles .tile > a")`)
	b.keys(kb.Enter)
	b.await(`location.pathname === "/picture" && document.querySelector("table td") && document.querySelector(".large img").naturalWidth === 640 && document.querySelectorAll(".landmark").length === 5`)
	b.await(`(() => { const i = document.querySelector(".large img").getBoundingClientRect(), d = document.querySelector(".drawing").getBoundingClientRect(); return Math.abs(i.width - d.width) < 1 && Math.abs(i.height - d.height) < 1 })()`)
	b.shoot("view-picture.jpg")
	for key, what := range map[string]string{"b": ".box", "l": ".landmark", "s": "text.score"} {
		shown := fmt.Sprintf(`getComputedStyle(document.querySelector(%q)).display`, what)
		b.await(shown + ` !== "none"`)
		b.keys(key)
		b.await(shown + ` === "none"`)
		b.keys(key)
	}
	b.try(`sessionStorage.setItem("first", location.search)`)
	b.keys(kb.ArrowRight)
	b.await(`location.search !== sessionStorage.getItem("first") && document.querySelector("#newer")`)
	b.keys(kb.ArrowLeft)
	b.await(`location.search === sessionStorage.getItem("first")`)
	b.await(`fetch(document.querySelector("#download").href).then(r => window.got = r.headers.get("content-disposition")), (window.got || "").startsWith("attachment")`)
	b.keys(kb.Escape)
	b.await(`location.pathname === "/" && location.search.includes("show=frames")`)

	// Several pictures as a zip.
	b.keys(kb.ArrowRight, "x", kb.ArrowRight, "x")
	b.await(`document.querySelectorAll("#tiles :checked").length === 2 && !document.querySelector("#zip").disabled`)
	b.await(`fetch("/zip?" + new URLSearchParams(new FormData(document.querySelector("#chosen")))).then(r => window.zip = r.status + r.headers.get("content-type")), window.zip === "200application/zip"`)

	// New faces and counts come by themselves.
	b.do(chromedp.Navigate(s.url))
	b.await(`document.querySelector("#tiles .tile")`)
	window("09:50:00", 2, "door")
	b.await(`document.querySelectorAll("#tiles .tile.new").length === 2 && document.querySelector("#tiles time").textContent.startsWith("2026-11-24 18:50") && document.querySelector("#counts").textContent.includes("303")`)

	// Rejects; dark, and as narrow as a phone.
	b.do(chromedp.Navigate(s.url + "/rejects"))
	b.await(`document.querySelector(".reject pre").textContent.includes("ff d8 ff") && document.querySelector(".advice")`)
	b.await(`getComputedStyle(document.body).backgroundColor === "rgb(246, 247, 246)"`)
	b.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
		return err
	}))
	b.await(`getComputedStyle(document.body).backgroundColor === "rgb(17, 21, 20)"`)
	for _, address := range []string{"/", "/?show=frames", "/rejects", "/picture" + query("id", (&event{ID: record.In("frames", 0).At(0), TimestampMillis: at("00:10:00"), Face: 1}).key().String())} {
		b.do(chromedp.Navigate(s.url + address))
		b.await(`document.querySelector("footer") && document.documentElement.scrollWidth <= 360`)
	}
}
