package rest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"facestream/internal/rest"
	"facestream/internal/testkit"
)

// What a service says of an error reaches the caller.
func TestCall(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/no":
			w.WriteHeader(http.StatusConflict)
		case "/endless":
			for zeros := make([]byte, 1<<20); r.Context().Err() == nil; {
				_, _ = w.Write(zeros)
			}
		}
		sent, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"method":%q,"sent":%q}`, r.Method, sent)
	}))
	defer service.Close()
	got, err := rest.Call(t.Context(), service.Client(), http.MethodPut, service.URL, "text")
	if want := `{"method":"PUT","sent":"text"}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	var answer struct{ Method string }
	if err := rest.Get(t.Context(), service.URL, &answer); err != nil || answer.Method != http.MethodGet {
		t.Errorf("got %+v, %v", answer, err)
	}
	testkit.Says(t, "a conflict", rest.Get(t.Context(), service.URL+"/no", &answer), "GET "+service.URL+"/no: 409 Conflict: ", `{"method":"GET"`)
	testkit.Says(t, "no end", rest.Get(t.Context(), service.URL+"/endless", &answer), "an answer of more than 16777216 bytes")
	testkit.Says(t, "no JSON of that kind", rest.Get(t.Context(), service.URL, new(int)), "GET "+service.URL+": json: ")
}
