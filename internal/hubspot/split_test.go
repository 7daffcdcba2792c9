package hubspot

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	fastgzip "github.com/klauspost/compress/gzip"
	"github.com/zeebo/xxh3"

	"github.com/threadcast/threadcast/internal/thread"
)

// realThread is a thread of the size and shape of HubSpot's, with the entropy of
// real ids and times.
func realThread(id int) string {
	rnd := rand.New(rand.NewPCG(uint64(id), 9))
	at := func() string {
		return time.UnixMilli(1_780_000_000_000 + rnd.Int64N(20_000_000_000)).UTC().Format("2006-01-02T15:04:05.000Z")
	}
	sent := at()
	return fmt.Sprintf(`{"id":"%d","createdAt":"%s","closedAt":"%s","status":"CLOSED",`+
		`"originalChannelId":"1002","originalChannelAccountId":"%d","latestMessageTimestamp":"%s",`+
		`"latestMessageSentTimestamp":"%s","latestMessageReceivedTimestamp":"%s",`+
		`"assignedTo":"A-%d","spam":false,"inboxId":"120010","associatedContactId":"%d","archived":false,`+
		`"threadAssociations":{"associatedTicketId":"%d"}}`, id, at(), at(), 304905+rnd.IntN(4), sent, sent, at(),
		2620022+rnd.IntN(30), 5_000_000+rnd.IntN(1_000_000_000), 9_000_000_000+rnd.IntN(1_000_000_000))
}

func realPage(first, n int) []byte {
	var page strings.Builder
	page.WriteString(`{"results":[`)
	for i := range n {
		if i > 0 {
			page.WriteByte(',')
		}
		page.WriteString(realThread(first + i))
	}
	page.WriteString(`],"paging":{"next":{"after":"NTI1Cg%3D%3D","link":"https://169.254.169.254/?after=x"}}}`)
	return []byte(page.String())
}

// oracle is what encoding/json makes of a body: an error if it is no JSON or not
// of the shape of a list.
func oracle(body []byte) (ids []string, raws []string, next string, err error) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(body, &top); err != nil {
		return nil, nil, "", err
	}
	var results []json.RawMessage
	if top["results"] == nil || json.Unmarshal(top["results"], &results) != nil || results == nil {
		return nil, nil, "", errNoResults
	}
	for _, raw := range results {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil || object == nil {
			return nil, nil, "", errNoArray
		}
		text := string(object["id"])
		if strings.HasPrefix(text, `"`) {
			if json.Unmarshal(object["id"], &text) != nil {
				return nil, nil, "", thread.ErrBadID
			}
		}
		if _, err := thread.ParseID(text); err != nil {
			return nil, nil, "", err
		}
		ids, raws = append(ids, text), append(raws, string(raw))
	}
	next, err = oracleCursor(top["paging"])
	return ids, raws, next, err
}

func oracleCursor(raw json.RawMessage) (string, error) {
	for _, name := range []string{"next", "after"} {
		if raw == nil || string(raw) == "null" {
			return "", nil
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil {
			return "", errPaging
		}
		raw = object[name]
	}
	if raw == nil || string(raw) == "null" {
		return "", nil
	}
	if strings.ContainsAny(string(raw[:1]), "-0123456789") {
		return string(raw), nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil || text == "" || len(text) > maxCursor {
		return "", errPaging
	}
	return text, nil
}

// agrees compares split with encoding/json. Results or paging given twice and
// deep nesting are refused by split alone.
func agrees(t *testing.T, body []byte) {
	t.Helper()
	items, next, err := split(body, 7, 4)
	if errors.Is(err, errTwice) || depth(body) > maxDepth-4 {
		return
	}
	ids, raws, wantNext, wantErr := oracle(body)
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("split(%q): err %v, encoding/json says %v", body, err, wantErr)
	}
	if err != nil {
		return
	}
	if next != wantNext {
		t.Errorf("split(%q): next %q, want %q", body, next, wantNext)
	}
	var gotIDs, gotRaws []string
	for _, item := range items {
		gotIDs, gotRaws = append(gotIDs, item.ID.String()), append(gotRaws, string(item.Raw))
		if want := xxh3.HashSeed(item.Raw, 7); item.Hash != want {
			t.Errorf("hash %x, want %x", item.Hash, want)
		}
	}
	if !reflect.DeepEqual(gotIDs, ids) || !reflect.DeepEqual(gotRaws, raws) {
		t.Errorf("split(%q):\n got %v %q\nwant %v %q", body, gotIDs, gotRaws, ids, raws)
	}
}

func depth(body []byte) int {
	deepest, now := 0, 0
	for _, c := range body {
		switch c {
		case '{', '[':
			now++
			deepest = max(deepest, now)
		case '}', ']':
			now--
		}
	}
	return deepest
}

func splitSeeds() []string {
	return []string{
		string(realPage(1, 2)),
		`{"results":[]}`, `{}`, ``, ` `, `null`, `[]`, `<html></html>`, `{"results":null}`, `{"results":{}}`, `{"results":[1]}`,
		`{"results":[{}]}`, `{"results":[{"id":"1"},]}`, `{"results":[{"id":"1"}]} x`, `{"results":[{"id":"1"}]`,
		`{"results":[{"id":12345678901234567890}]}`, `{"results":[{"id":1e3}]}`, `{"results":[{"id":"01"}]}`, `{"results":[{"id":-1}]}`,
		`{"results":[{"id":null}]}`, `{"results":[{"id":["1"]}]}`, `{"results":[{"ID":"1"}]}`, `{"results":[{"id":"1","id":2}]}`,
		`{"results":[{"\u0069d":"\u0031"}]}`, `{"r\u0065sults":[{"id":"1"}],"paging":{"next":{"after":"a\u0026b"}}}`,
		`{"results":[{"a":"},{\"id\":\"9\"","id":"1"},{"x":{"id":"8"},"id":"2"}]}`, `{"results":[{"a":"\\","id":"3"}]}`,
		`{"results":[{"id":"4","a":"\ud800","b":[1,-0,0.5,1E+9,true,false,null]}]}`, `{"results":[{"id":"4","a":01}]}`,
		`{"results":[{"id":"4","a":"` + "\x01" + `"}]}`, `{"results":[{"id":"4","a":"` + "\xff\xc0" + `"}]}`, `{"results":[{"id":"4","a":"\x"}]}`,
		`{"results":[],"paging":null}`, `{"results":[],"paging":{}}`, `{"results":[],"paging":{"next":null}}`, `{"results":[],"paging":{"next":{}}}`,
		`{"results":[],"paging":{"next":{"after":""}}}`, `{"results":[],"paging":{"next":{"after":17}}}`, `{"results":[],"paging":[]}`,
		`{"results":[],"paging":{"next":{"after":["x"]}}}`, `{"results":[],"results":[]}`, `{"paging":{},"results":[],"paging":{}}`,
		`{"results":[{"id":"1","a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}]}`,
		` { "results" : [ { "id" : "1" } , { "id" : 2 } ] , "total" : 2 } ` + "\n",
		`{"results":[{"id":"5","a":tru}]}`, `{"results":[{"id":"5","a":-}]}`, `{"results":[{"id":"5","a":1.}]}`, `{"results":[{"id":"5" "a":1}]}`,
	}
}

func FuzzSplit(f *testing.F) {
	for _, seed := range splitSeeds() {
		f.Add([]byte(seed))
	}
	f.Fuzz(agrees)
}

// Whatever is cut off or flipped, a page is taken whole or not at all.
func TestSplitOfDamagedPages(t *testing.T) {
	page := realPage(10, 2)
	for n := range page {
		if _, _, err := split(page[:n], 0, 1); err == nil {
			t.Fatalf("the first %d of %d bytes were taken for a page", n, len(page))
		}
	}
	rnd := rand.New(rand.NewPCG(3, 3))
	for range 1500 {
		damaged := bytes.Clone(page)
		damaged[rnd.IntN(len(page))] = `"\{}[],:x1 `[rnd.IntN(11)]
		agrees(t, damaged)
	}
}

func TestSplitRejects(t *testing.T) {
	tests := map[string]struct {
		body string
		want error
	}{
		"login page":          {" <!DOCTYPE html>", errHTML},
		"nothing":             {"", errNoJSON},
		"empty object":        {"{}", errNoResults},
		"results is null":     {`{"results":null}`, errNoArray},
		"results of numbers":  {`{"results":[1]}`, errNoArray},
		"results twice":       {`{"results":[],"results":[]}`, errTwice},
		"paging twice":        {`{"results":[],"paging":{},"paging":{}}`, errTwice},
		"float id":            {`{"results":[{"id":1.5}]}`, thread.ErrBadID},
		"empty cursor":        {`{"results":[],"paging":{"next":{"after":""}}}`, errPaging},
		"id with leading nil": {`{"results":[{"id":"007"}]}`, thread.ErrBadID},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, _, err := split([]byte(test.body), 0, 1); !errors.Is(err, test.want) {
				t.Errorf("err %v, want %v", err, test.want)
			}
		})
	}
	deep := `{"results":[{"id":"1","a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}]}`
	if _, _, err := split([]byte(deep), 0, 1); err == nil {
		t.Error("a hundred levels were accepted")
	}
}

func TestSplitOne(t *testing.T) {
	item, err := splitOne([]byte(" "+realThread(77)+"\n"), 1)
	if err != nil || item.ID != 77 || string(item.Raw) != realThread(77) {
		t.Errorf("splitOne: %v %q, %v", item.ID, item.Raw, err)
	}
	for _, body := range []string{"", "[]", `{"id":"1"}{}`, `{"name":"x"}`, `{"id":"1"`} {
		if _, err := splitOne([]byte(body), 1); err == nil {
			t.Errorf("%q was taken for a thread", body)
		}
	}
}

func TestSeedDependsOnKinds(t *testing.T) {
	if Seed(thread.DefaultKinds) == Seed(thread.DefaultKinds|thread.Kinds(thread.KindActivity)) {
		t.Error("the seed is the same for other kinds")
	}
}

// BenchmarkSplit is the splitter with its hashes, a thread.
func BenchmarkSplit(b *testing.B) {
	page := realPage(30_000_000_000, 500)
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := split(page, 1, 500); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/thread")
}

// BenchmarkDrain is the limit beside it: inflating the same page.
func BenchmarkDrain(b *testing.B) {
	page := realPage(30_000_000_000, 500)
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	_, _ = writer.Write(page)
	_ = writer.Close()
	reader, err := fastgzip.NewReader(bytes.NewReader(packed.Bytes()))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		if err := reader.Reset(bytes.NewReader(packed.Bytes())); err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, reader); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/thread")
}
