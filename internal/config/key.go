package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// key is one key of the configuration: how it is read, checked and printed. T is
// what it belongs to, the service or an account.
type key[T any] struct {
	path     string
	standard string // the default, as it would be written; "": absent
	want     string // what to write
	set      func(*T, value) error
	get      func(*T) (printed any, shown bool) // a string or a []string
}

// maxEcho is how much of a wrong value is repeated in a message.
const maxEcho = 60

func echo(text string) string {
	if len(text) > maxEcho {
		text = strings.ToValidUTF8(text[:maxEcho], "") + "..."
	}
	return strconv.Quote(text)
}

var (
	errList    = errors.New("is a list, but takes one value")
	errEmpty   = errors.New("is empty")
	errControl = errors.New("has a control character or is no UTF-8")
)

// scalar is the text of a value that must not be a list.
func (v value) scalar() (string, error) {
	if v.many {
		return "", errList
	}
	return v.text, plain(v.text)
}

// plain refuses what would garble a log line or a printed configuration.
func plain(text string) error {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return errControl
	}
	return nil
}

// text is a key whose value is checked and brought into its final form by read.
func text[T any](path, standard, want string, field func(*T) *string, read func(v string) (string, error)) key[T] {
	return key[T]{path: path, standard: standard, want: want,
		set: func(t *T, v value) error {
			raw, err := v.scalar()
			if err != nil {
				return err
			}
			*field(t), err = read(raw)
			return err
		},
		get: func(t *T) (any, bool) { return *field(t), true },
	}
}

// file is a text that is a path; it becomes absolute. An empty one counts as
// absent.
func file[T any](path, standard, want string, field func(*T) *string) key[T] {
	return key[T]{path: path, standard: standard, want: want,
		set: func(t *T, v value) error {
			raw, err := v.scalar()
			if err == nil {
				*field(t), err = readPath(v.dir, raw)
			}
			return err
		},
		get: func(t *T) (any, bool) { return *field(t), *field(t) != "" },
	}
}

// optional is a key that is printed only where it has a value.
func optional[T any](k key[T]) key[T] {
	get := k.get
	k.get = func(t *T) (any, bool) {
		printed, _ := get(t)
		return printed, printed != ""
	}
	return k
}

// list is a key with any number of texts, each checked by read.
func list[T any](path, standard, want string, field func(*T) *[]string, read func(v string) (string, error)) key[T] {
	return key[T]{path: path, standard: standard, want: want,
		set: func(t *T, v value) error {
			var items []string
			seen := map[string]bool{}
			for _, raw := range v.items() {
				raw = strings.TrimSpace(raw)
				if err := plain(raw); err != nil {
					return err
				}
				item, err := read(raw)
				if err != nil {
					return err
				}
				if !seen[item] {
					seen[item] = true
					items = append(items, item)
				}
			}
			*field(t) = items
			return nil
		},
		get: func(t *T) (any, bool) { return *field(t), true },
	}
}

// word is a key with a fixed set of values.
func word[T any](path, standard string, field func(*T) *string, words ...string) key[T] {
	want := "one of " + strings.Join(words, ", ")
	return text(path, standard, want, field, func(v string) (string, error) {
		for _, word := range words {
			if v == word {
				return v, nil
			}
		}
		nearest, _ := closest(v, words)
		return "", fmt.Errorf("%s is not known, the nearest is %s", echo(v), nearest)
	})
}

// count is a key with a whole number from low to high.
func count[T any](path, standard string, low, high int, field func(*T) *int) key[T] {
	return key[T]{path: path, standard: standard, want: fmt.Sprintf("a whole number from %d to %d", low, high),
		set: func(t *T, v value) error {
			raw, err := v.scalar()
			if err != nil {
				return err
			}
			number, err := strconv.Atoi(raw)
			switch {
			case errors.Is(err, strconv.ErrRange) || err == nil && (number < low || number > high):
				return fmt.Errorf("%s is out of bounds", echo(raw))
			case err != nil:
				return fmt.Errorf("%s is not a whole number", echo(raw))
			}
			*field(t) = number
			return nil
		},
		get: func(t *T) (any, bool) { return strconv.Itoa(*field(t)), true },
	}
}

// quantity is a key with a number above zero and at most high.
func quantity[T any](path, standard string, high float64, field func(*T) *float64) key[T] {
	return key[T]{path: path, standard: standard, want: fmt.Sprintf("a number above 0 and at most %v, such as %s", high, standard),
		set: func(t *T, v value) error {
			raw, err := v.scalar()
			if err != nil {
				return err
			}
			number, err := strconv.ParseFloat(raw, 64)
			if err != nil {
				return fmt.Errorf("%s is not a number", echo(raw))
			}
			if !(number > 0 && number <= high) { // also not a number
				return fmt.Errorf("%s is out of bounds", echo(raw))
			}
			*field(t) = number
			return nil
		},
		get: func(t *T) (any, bool) { return strconv.FormatFloat(*field(t), 'g', -1, 64), true },
	}
}

// span is a key with a duration from low to high.
func span[T any](path, standard string, low, high time.Duration, field func(*T) *time.Duration) key[T] {
	return key[T]{path: path, standard: standard, want: fmt.Sprintf("a duration from %s to %s, such as %s", short(low), short(high), standard),
		set: func(t *T, v value) error {
			raw, err := v.scalar()
			if err != nil {
				return err
			}
			duration, err := time.ParseDuration(raw)
			if _, number := strconv.ParseFloat(raw, 64); number == nil && raw != "0" {
				return fmt.Errorf("%s has no unit (ms, s, m, h)", echo(raw))
			}
			if err != nil {
				return fmt.Errorf("%s is not a duration", echo(raw))
			}
			if duration < low || duration > high {
				return fmt.Errorf("%s is out of bounds", echo(raw))
			}
			*field(t) = duration
			return nil
		},
		get: func(t *T) (any, bool) { return short(*field(t)), true },
	}
}

// short is a duration without the zero units that Go writes: 5m instead of 5m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// flag is a key that is on or off.
func flag[T any](path, standard string, field func(*T) *bool) key[T] {
	return key[T]{path: path, standard: standard, want: "true or false",
		set: func(t *T, v value) error {
			raw, err := v.scalar()
			if err != nil {
				return err
			}
			if raw != "true" && raw != "false" {
				return fmt.Errorf("%s is neither true nor false", echo(raw))
			}
			*field(t) = raw == "true"
			return nil
		},
		get: func(t *T) (any, bool) { return strconv.FormatBool(*field(t)), true },
	}
}
