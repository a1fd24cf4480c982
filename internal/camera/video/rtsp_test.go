package video

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"facestream/internal/camera/mjpegtest"
	"facestream/internal/testkit"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
)

// rtspPassword must be written otherwise in an address.
const (
	rtspPassword = "p#a/s?s%@w:"
	rtspUser     = "me:p%23a%2Fs%3Fs%25%40w%3A@"
)

// rtspCamera is an RTSP server that plays the demo as motion JPEG.
type rtspCamera struct {
	address string
	server  *gortsplib.Server
	stream  *gortsplib.ServerStream
	ended   chan struct{}
	player  sync.WaitGroup
}

// startRTSP starts a camera; port 0 stands for any.
func startRTSP(t *testing.T, address string) *rtspCamera {
	t.Helper()
	c := &rtspCamera{ended: make(chan struct{})}
	c.server = &gortsplib.Server{Handler: c, RTSPAddress: address, Listen: func(network, address string) (net.Listener, error) {
		listener, err := net.Listen(network, address)
		if err == nil {
			c.address = listener.Addr().String()
		}
		return listener, err
	}}
	testkit.Must(t, c.server.Start())
	motion := &format.MJPEG{}
	media := &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{motion}}
	c.stream = &gortsplib.ServerStream{Server: c.server, Desc: &description.Session{Medias: []*description.Media{media}}}
	testkit.Must(t, c.stream.Initialize())
	encoder := testkit.Value(motion.CreateEncoder())(t)
	jpegs := demoJPEGs(t, 10)
	c.player.Go(func() {
		ticker := time.NewTicker(mjpegtest.Every)
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-c.ended:
				return
			case <-ticker.C:
			}
			packets, err := encoder.Encode(jpegs[i%len(jpegs)])
			if err != nil {
				t.Error(err)
				return
			}
			for _, p := range packets {
				p.Timestamp = uint32(float64(i) * mjpegtest.Every.Seconds() * float64(motion.ClockRate()))
				if err := c.stream.WritePacketRTP(media, p); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	return c
}

// stop ends the camera and every connection.
func (c *rtspCamera) stop() {
	close(c.ended)
	c.player.Wait()
	c.stream.Close()
	c.server.Close()
}

// OnDescribe knows one stream, by its password.
func (c *rtspCamera) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if !ctx.Conn.VerifyCredentials(ctx.Request, "me", rtspPassword) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	if strings.Trim(ctx.Path, "/") != "door" {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

// OnSetup takes every reader.
func (c *rtspCamera) OnSetup(*gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

// OnPlay takes every reader.
func (c *rtspCamera) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// A camera is read by RTSP, and again after it was gone for a while.
func TestStreamRTSP(t *testing.T) {
	camera := startRTSP(t, "127.0.0.1:0")
	address := camera.address
	var said testkit.Notes
	source, err := OpenURL(t.Context(), "rtsp://"+rtspUser+address+"/door", 0, said.Add)
	if err != nil {
		camera.stop()
		t.Fatal(err)
	}
	defer source.Close()
	take(t, source, 30)
	_, err = OpenURL(t.Context(), "rtsp://"+rtspUser+address+"/hall", 0, said.Add)
	testkit.Says(t, "a stream that is not there", err, "cannot open it (method DESCRIBE failed: 404 Not Found")
	_, err = OpenURL(t.Context(), "rtsp://me:wrong@"+address+"/door", 0, said.Add)
	testkit.Says(t, "a wrong password", err, "401 Unauthorized")

	camera.stop()
	testkit.Await(t, "a note that the camera is gone", func() bool { return strings.Contains(said.String(), "is lost") })
	camera = startRTSP(t, address)
	defer camera.stop()
	take(t, source, 30)
	testkit.Contains(t, "the notes", said.String(), "rtsp://"+address+" is there again")
}
