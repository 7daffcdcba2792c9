package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/segmentio/kafka-go"
)

func TestSentencesSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"missing or forbidden topic": {UnknownTopicOrPartition, "topics create"},
		"fenced":                     {refusal(90, "fenced"), "Another instance"},
		"kafka-go's own code":        {kafka.SASLAuthenticationFailed, "password"},
		"a code without a sentence":  {Code(99), "Kafka error 99 (Position Out Of Range)"},
		"a code from the future":     {Code(1234), "Kafka error 1234"},
		"unknown name":               {&net.OpError{Op: "dial", Err: &net.DNSError{Name: "kafka.test", IsNotFound: true}}, "kafka.test"},
		"refused":                    {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "Nothing listens"},
		"bare end":                   {io.ErrUnexpectedEOF, "login is wrong"},
		"reset":                      {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "closed the connection"},
		"silence":                    {context.DeadlineExceeded, "in time"},
		"stopping":                   {context.Canceled, "stopping"},
		"no TLS there":               {tls.RecordHeaderError{Msg: "x"}, "does not speak TLS"},
		"wrong certificate name":     {x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a"}, "other names"},
		"untrusted certificate":      {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "not trusted"},
		"anything else":              {errors.New("odd"), "odd"},
	} {
		t.Run(name, func(t *testing.T) {
			got := Sentence(fmt.Errorf("produce to t/0: %w", c.err))
			if !strings.Contains(got, c.want) || !strings.HasSuffix(got, ".") {
				t.Errorf("got %q, want a sentence with %q", got, c.want)
			}
		})
	}
	if got := Sentence(nil); got != "" {
		t.Errorf("without an error: got %q", got)
	}
}

func TestCodeOf(t *testing.T) {
	if code, ok := CodeOf(fmt.Errorf("a: %w", refusal(47, "old"))); code != 47 || !ok {
		t.Errorf("got %d, %t; want 47", code, ok)
	}
	if code, ok := CodeOf(errors.Join(io.EOF, kafka.Error(7))); code != 7 || !ok {
		t.Errorf("got %d, %t; want 7", code, ok)
	}
	if code, ok := CodeOf(io.EOF); ok {
		t.Errorf("got %d for an end of connection", code)
	}
	if err := refusal(0, "fine"); err != nil {
		t.Errorf("code 0: got %v", err)
	}
}
