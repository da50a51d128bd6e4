package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var content = bytes.Repeat([]byte("0123456789abcdef"), 4<<10)

// whole answers whole and ranged requests.
func whole(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// part sends n bytes of what it says has more, and then does what end does.
func part(n int, end http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content[:n])
		_ = http.NewResponseController(w).Flush()
		end(w, r)
	}
}

func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func wait(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

const (
	shortStall = 50 * time.Millisecond
	stalled    = "stalled: nothing came for 50ms"
)

func TestGet(t *testing.T) {
	half := int64(len(content) / 2)
	redirect := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			whole(w, r)
			return
		}
		http.Redirect(w, r, "/there", http.StatusFound)
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		offset  int64
		begins  int64 // of what came
		comes   int64 // its size
		want    *Error
	}{
		{"whole", whole, 0, 0, 2 * half, nil},
		{"the rest", whole, half, half, half, nil},
		{"from elsewhere", redirect, half, half, half, nil},
		{"no ranges", part(len(content), func(http.ResponseWriter, *http.Request) {}), half, 0, 2 * half, nil},

		{"beyond the end", whole, 4 * half, 0, 0, &Error{Reason: "416 Requested Range Not Satisfiable", Unfit: true}},
		{
			"another range", status(206, "Content-Range", "bytes 0-9/10"), half, 0, 0,
			&Error{Reason: `asked to go on at byte 32768, it answered "bytes 0-9/10"`, Unfit: true},
		},
		{"a range that nobody wanted", status(206), 0, 0, 0, &Error{Reason: "206 Partial Content", Final: true}},
		{"missing", status(404), 0, 0, 0, &Error{Reason: "404 Not Found", Final: true, Missing: true}},
		{"gone", status(410), 0, 0, 0, &Error{Reason: "410 Gone", Final: true, Missing: true}},
		{"forbidden", status(403), 0, 0, 0, &Error{Reason: "403 Forbidden", Final: true}},
		{"broken", status(500), 0, 0, 0, &Error{Reason: "500 Internal Server Error"}},
		{"busy", status(429, "Retry-After", "7"), 0, 0, 0, &Error{Reason: "429 Too Many Requests", RetryAfter: 7 * time.Second}},
		{"busy for a day", status(503, "Retry-After", "86400"), 0, 0, 0, &Error{Reason: "503 Service Unavailable", RetryAfter: 30 * time.Second}},
		{"busy until a date", status(503, "Retry-After", "Fri, 01 Jan 2100 00:00:00 GMT"), 0, 0, 0, &Error{Reason: "503 Service Unavailable"}},
		{"no answer", wait, 0, 0, 0, &Error{Reason: stalled}},
		{"half an answer", part(int(half), wait), 0, 0, half, &Error{Reason: stalled}},
		{"half a connection", part(int(half), cut), 0, 0, half, &Error{Reason: "the connection broke off"}},
		{"no answer, and the end", cut, 0, 0, 0, &Error{Reason: "the connection broke off"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.handler)
			defer server.Close()
			stall := 10 * time.Second // on a busy machine too
			if test.want != nil && test.want.Reason == stalled {
				stall = shortStall
			}
			client := NewClient(stall)
			defer client.Close()
			var began int64
			var got []byte
			err := client.Get(t.Context(), server.URL+"/file", test.offset, func(b *Body) (err error) {
				began = b.Offset
				got, err = io.ReadAll(b)
				return err
			})
			if diff := cmp.Diff(test.want, asError(t, err)); diff != "" {
				t.Errorf("Get (-want +got):\n%s", diff)
			}
			if began != test.begins || !bytes.Equal(got, content[began:began+test.comes]) {
				t.Errorf("%d bytes came from %d on, want %d from %d on", len(got), began, test.comes, test.begins)
			}
		})
	}
}

// asError returns err as the *Error that it has to be, or nil if it is nil.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("Get = %v (%T), want a *transfer.Error", err, err)
	}
	return e
}

// The time that the receiver needs is not the server's, and its errors are its own.
func TestGetWaitsForTheReceiver(t *testing.T) {
	server, silent := httptest.NewServer(http.HandlerFunc(whole)), httptest.NewServer(http.HandlerFunc(wait))
	defer server.Close()
	defer silent.Close()
	client, patient := NewClient(500*time.Millisecond), NewClient(600*time.Millisecond)
	defer client.Close()
	defer patient.Close()
	mine := errors.New("mine")
	err := client.Get(t.Context(), server.URL, 0, func(b *Body) error {
		if _, err := io.ReadFull(b, make([]byte, 1)); err != nil {
			return err
		}
		// Longer than the server may be silent.
		if err := patient.Get(t.Context(), silent.URL, 0, nil); asError(t, err).Reason != "stalled: nothing came for 600ms" {
			return err
		}
		if _, err := io.Copy(io.Discard, b); err != nil {
			return err
		}
		return mine
	})
	if err != mine {
		t.Errorf("Get = %v, want the receiver's own error", err)
	}
}

func TestGetWithoutAServer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(whole))
	server.Close()
	client := NewClient(0)
	for address, want := range map[string]*Error{
		server.URL:    {Reason: "connection refused"},
		"http://a b/": {Reason: `invalid character " " in host name`, Final: true},
	} {
		err := client.Get(t.Context(), address, 0, func(*Body) error { return nil })
		if diff := cmp.Diff(want, asError(t, err)); diff != "" {
			t.Errorf("Get %q (-want +got):\n%s", address, diff)
		}
	}
}

func TestGetStopsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("a reason")
	server := httptest.NewServer(part(1, func(w http.ResponseWriter, r *http.Request) {
		cancel(cause)
		wait(w, r)
	}))
	defer server.Close()
	client := NewClient(0)
	defer client.Close()
	err := client.Get(ctx, server.URL, 0, func(b *Body) error {
		_, err := io.Copy(io.Discard, b)
		return err
	})
	if err != cause {
		t.Errorf("Get = %v, want %v", err, cause)
	}
}
