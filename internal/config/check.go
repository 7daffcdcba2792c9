package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/threadcast/threadcast/internal/thread"
)

// maxLabel keeps the name of the state file and metric labels short.
const maxLabel = 64

const labelWant = "a label of 1 to 64 characters a-z, 0-9 and _"

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

// only says whether the text consists of the characters alone.
func only(text, characters string) bool {
	return strings.Trim(text, characters) == "" || !strings.ContainsFunc(text, func(r rune) bool {
		return !strings.ContainsRune(characters, r)
	})
}

// checkLabel is what is wrong with an account's label, empty if nothing.
func checkLabel(label string) string {
	switch {
	case label == "":
		return "is empty"
	case len(label) > maxLabel:
		return fmt.Sprintf("is %d characters long", len(label))
	case !only(label, lower+digits+"_"):
		return "has a character that is not allowed"
	}
	return ""
}

// readBaseURL never repeats the address: it may hold a password.
func readBaseURL(raw string) (string, error) {
	address, err := url.Parse(raw)
	switch {
	case raw == "":
		return "", errEmpty
	case err != nil:
		return "", errors.New("is not an address")
	case address.User != nil:
		return "", errors.New("has a user or password in it")
	case address.Scheme != "http" && address.Scheme != "https":
		return "", errors.New("does not begin with https:// or http://")
	case address.Hostname() == "":
		return "", errors.New("has no host")
	case address.RawQuery != "" || address.ForceQuery || strings.Contains(raw, "#"):
		return "", errors.New("has a query or a fragment")
	}
	if port := address.Port(); port != "" || strings.HasSuffix(address.Host, ":") {
		if err := checkPort(port, 1); err != nil {
			return "", err
		}
	}
	return strings.TrimRight(raw, "/"), nil
}

// loopback says whether a host is this machine.
func loopback(host string) bool {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// readVariableName never repeats the value: whoever gets this wrong has often put
// the token itself there.
func readVariableName(raw string) (string, error) {
	if !only(raw, upper+lower+digits+"_") || raw != "" && strings.Contains(digits, raw[:1]) {
		return "", errors.New("is not the name of an environment variable")
	}
	return raw, nil
}

// readNumber reads an id as HubSpot writes it.
func readNumber(raw string) (string, error) {
	if raw == "" {
		return "", errors.New("has an empty element")
	}
	if id, err := thread.ParseID(raw); err != nil || id.String() != raw {
		return "", fmt.Errorf("%s is not a number in digits", echo(raw))
	}
	return raw, nil
}

func readAccountID(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	return readNumber(raw)
}

func readPath(dir, raw string) (string, error) {
	switch {
	case raw == "":
		return "", nil
	case strings.HasPrefix(raw, "~"):
		return "", errors.New("begins with ~, which only a shell understands")
	case filepath.IsAbs(raw):
		return filepath.Clean(raw), nil
	}
	return filepath.Join(dir, raw), nil
}

func readBroker(raw string) (string, error) {
	if strings.Contains(raw, "://") {
		return "", fmt.Errorf("%s has a scheme", echo(raw))
	}
	host, port, err := net.SplitHostPort(raw)
	switch {
	case raw == "":
		return "", errors.New("has an empty element")
	case err != nil && !strings.Contains(raw, ":"):
		return "", fmt.Errorf("%s has no port", echo(raw))
	case err != nil || host == "" || !validHost(host):
		return "", fmt.Errorf("%s is not host:port", echo(raw))
	}
	return raw, checkPort(port, 1)
}

func readListen(raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	host, port, err := net.SplitHostPort(raw)
	if err != nil || host != "" && !validHost(host) {
		return "", fmt.Errorf("%s is not host:port", echo(raw))
	}
	return raw, checkPort(port, 0)
}

// validHost takes names, IPv4 and, without brackets, IPv6 addresses with zones.
func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return len(host) <= 253 && only(host, lower+upper+digits+"-_.")
}

func checkPort(port string, low int) error {
	number, err := strconv.Atoi(port)
	if err != nil || !only(port, digits) || number < low || number > 65535 {
		return fmt.Errorf("%s is not a port from %d to 65535", echo(port), low)
	}
	return nil
}

// maxTopic is Kafka's bound on the length of a topic's name.
const maxTopic = 249

// readTopic takes what Kafka takes for a topic's name.
func readTopic(raw string) (string, error) {
	switch {
	case raw == "":
		return "", errEmpty
	case raw == "." || raw == "..":
		return "", fmt.Errorf("%s is no name for Kafka", echo(raw))
	case !only(raw, lower+upper+digits+"._-"):
		return "", fmt.Errorf("%s has a character that Kafka refuses in topic names (letters, digits, dot, dash and underscore are allowed)", echo(raw))
	case len(raw) > maxTopic:
		return "", fmt.Errorf("has %d characters, Kafka takes %d", len(raw), maxTopic)
	}
	return raw, nil
}

// maxTransactionalID leaves room for the account's number below the bound of
// Kafka's protocol for strings; a person reads it in broker logs.
const maxTransactionalID = 200

func readTransactionalID(raw string) (string, error) {
	switch {
	case raw == "":
		return "", errEmpty
	case len(raw) > maxTransactionalID:
		return "", fmt.Errorf("has %d characters, at most %d are allowed", len(raw), maxTransactionalID)
	case !only(raw, lower+upper+digits+"._-"):
		return "", fmt.Errorf("%s has a character that is not allowed", echo(raw))
	}
	return raw, nil
}

func readDelivery(raw string) (string, error) {
	if raw != DeliveryFenced {
		return "", fmt.Errorf("%s is not a mode of this version", echo(raw))
	}
	return raw, nil
}
