package hubspot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/threadcast/threadcast/internal/thread"
)

func TestSecretIsPrintedNowhere(t *testing.T) {
	secret := NewSecret("pat-na1-hidden")
	var log bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(handler).Info("x", "secret", secret, "pointer", &secret, "error", &Error{Token: secret}, "struct", struct{ S Secret }{secret})
	}
	object, err := json.Marshal(map[string]any{"s": secret, "p": &secret, "e": &Error{Token: secret}})
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(object)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		all += fmt.Sprintf(verb, secret) + fmt.Sprintf(verb, &secret) + fmt.Sprintf(verb, struct{ S Secret }{secret}) +
			fmt.Sprintf(verb, &Error{Token: secret, Class: ClassAuth})
	}
	for _, trace := range []string{"hidden", fmt.Sprintf("%x", "hidden"), fmt.Sprintf("%X", "hidden")} {
		if strings.Contains(all, trace) {
			t.Errorf("the secret shows in %s", all)
		}
	}
	if !strings.Contains(all, redacted) {
		t.Error("REDACTED shows nowhere")
	}
}

func TestTokenTexts(t *testing.T) {
	good := map[string]string{"plain": "pat-1", "newline": "pat-1\n", "windows newline": "pat-1\r\n"}
	for name, text := range good {
		if secret, err := parseToken(text); err != nil || secret.Reveal() != "pat-1" {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := map[string]string{
		"empty": "", "blank": " \n", "two lines": "pat-1\npat-2\n", "with Bearer": "Bearer pat-1",
		"control": "pat\x01", "not ASCII": "pät", "long": strings.Repeat("x", maxToken+1),
	}
	for name, text := range bad {
		if _, err := parseToken(text); err == nil || strings.Contains(err.Error(), "pat") {
			t.Errorf("%s: err %v, want one that does not show the token", name, err)
		}
	}
}

func TestEnvToken(t *testing.T) {
	source := EnvToken("HUBSPOT_TOKEN", func(name string) (string, bool) { return "pat-1", name == "HUBSPOT_TOKEN" })
	if secret, err := source.Token(); err != nil || secret.Reveal() != "pat-1" {
		t.Errorf("Token: %v", err)
	}
	if err := source.WaitChange(t.Context(), Secret{}); !errors.Is(err, ErrTokenFixed) {
		t.Errorf("WaitChange: %v, want ErrTokenFixed", err)
	}
	unset := EnvToken("HUBSPOT_TOKEN", func(string) (string, bool) { return "", false })
	if _, err := unset.Token(); err == nil || !strings.Contains(err.Error(), "HUBSPOT_TOKEN") {
		t.Errorf("err %v, want one that names the variable", err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	// A new file each time, as rotation does it.
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestFileTokenFollowsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	now := thread.Instant{}
	source := FileToken(path, func() thread.Instant { return now })
	expect := func(want string) {
		t.Helper()
		if secret, err := source.Token(); err != nil || secret.Reveal() != want {
			t.Errorf("token %q, %v; want %q", secret.Reveal(), err, want)
		}
	}
	if _, err := source.Token(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("err %v, want that there is no file", err)
	}
	write(t, path, "first\n")
	expect("first")
	write(t, path, "other\n")
	expect("first") // looked at within the second
	now.Mono += tokenEvery
	expect("other")
	write(t, path, "")
	now.Mono += tokenEvery
	expect("other") // half written
	if _, err := source.Refresh(); err == nil {
		t.Error("an empty file was accepted after a refusal")
	}
	write(t, path, "third")
	if secret, err := source.Refresh(); err != nil || secret.Reveal() != "third" {
		t.Errorf("Refresh: %v", err)
	}
}

func TestWaitChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "token")
		write(t, path, "refused")
		source := FileToken(path, thread.NewClock())
		done := make(chan error, 1)
		go func() { done <- source.WaitChange(t.Context(), NewSecret("refused")) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("WaitChange came back with the refused token: %v", err)
		default:
		}
		write(t, path, "fresh")
		time.Sleep(2 * time.Second)
		if err := <-done; err != nil {
			t.Errorf("WaitChange: %v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("enough"))
		if err := source.WaitChange(ctx, NewSecret("fresh")); err == nil || err.Error() != "enough" {
			t.Errorf("WaitChange of a cancelled context: %v", err)
		}
	})
}
