// Package deploy_test keeps the examples of this directory, docker-compose.yml and
// the Dockerfile in step with the program: nothing here runs a container.
package deploy_test

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/threadcast/threadcast/internal/config"
)

const root = ".."

// settings is where containers and units look for the configuration.
const settings = "/etc/threadcast/threadcast.yaml"

type service struct {
	Image       string            `yaml:"image"`
	Build       map[string]string `yaml:"build"`
	Entrypoint  []string          `yaml:"entrypoint"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Volumes     []string          `yaml:"volumes"`
	Ports       []string          `yaml:"ports"`
	Healthcheck map[string]any    `yaml:"healthcheck"`
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
}

type compose struct {
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatalf("read an example: %v", err)
	}
	return text
}

func readCompose(t *testing.T) compose {
	t.Helper()
	var c compose
	if err := yaml.Unmarshal(read(t, "docker-compose.yml"), &c); err != nil {
		t.Fatalf("parse docker-compose.yml: %v", err)
	}
	return c
}

// with is the text as Compose reads it: the forms ${NAME:-default} and
// ${NAME:+replacement} of one variable.
func with(text, name, value string) string {
	form := regexp.MustCompile(`\$\{` + name + `:([-+])([^}]*)\}`)
	return form.ReplaceAllStringFunc(text, func(found string) string {
		parts := form.FindStringSubmatch(found)
		switch {
		case parts[1] == "-" && value != "":
			return value
		case parts[1] == "+" && value == "":
			return ""
		}
		return parts[2]
	})
}

func TestComposeHasItsServices(t *testing.T) {
	c := readCompose(t)
	for name, image := range map[string]string{
		"kafka": "apache/kafka:4.3.1", "hubspot": "threadcast:compose", "threadcast": "threadcast:compose", "consumer": "threadcast:compose",
	} {
		if got := c.Services[name].Image; got != image {
			t.Errorf("service %s has image %q, want %q", name, got, image)
		}
		if built := c.Services[name].Build["context"] == "."; built != (name != "kafka") {
			t.Errorf("service %s is built here: %v", name, built)
		}
	}
	if len(c.Services["kafka"].Healthcheck) == 0 || c.Services["threadcast"].DependsOn["kafka"].Condition != "service_healthy" {
		t.Errorf("threadcast does not wait for a healthy Kafka")
	}
	for name, s := range c.Services {
		for other := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is no service", name, other)
			}
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s publishes %s to the network", name, port)
			}
		}
	}
}

// TestComposeFindsItsConfiguration follows each service from its command to a file
// of this directory, with and without a token, and loads that.
func TestComposeFindsItsConfiguration(t *testing.T) {
	c := readCompose(t)
	for tokenValue, baseURL := range map[string]string{"": "http://hubspot:18080", "pat-real": "https://api.hubapi.com"} {
		for _, name := range []string{"threadcast", "consumer"} {
			s := c.Services[name]
			if i := slices.Index(s.Command, "--config"); i < 0 || s.Command[i+1] != settings {
				t.Errorf("%s runs %q without --config %s", name, s.Command, settings)
			}
			loaded := load(t, filepath.Join(root, source(t, s, settings, tokenValue)))
			if got := loaded.Accounts[0].HubSpot.BaseURL; got != baseURL {
				t.Errorf("%s with token %q reads %s, want %s", name, tokenValue, got, baseURL)
			}
			checkAddresses(t, c, loaded)
		}
		want := tokenValue
		if want == "" {
			want = fakeToken(t)
		}
		if got := with(c.Services["threadcast"].Environment["HUBSPOT_TOKEN"], "HUBSPOT_TOKEN", tokenValue); got != want {
			t.Errorf("with token %q threadcast gets %q, want %q", tokenValue, got, want)
		}
	}
}

// source is the file on the host that is mounted at a path of the container.
func source(t *testing.T, s service, target, tokenValue string) string {
	t.Helper()
	for _, volume := range s.Volumes {
		parts := strings.Split(with(volume, "HUBSPOT_TOKEN", tokenValue), ":")
		if parts[1] == target {
			return parts[0]
		}
	}
	t.Fatalf("nothing is mounted at %s: %q", target, s.Volumes)
	return ""
}

func load(t *testing.T, path string) *config.Config {
	t.Helper()
	loaded, _, err := config.Load(path, []string{"HUBSPOT_TOKEN=x"})
	if err != nil {
		t.Fatalf("load %s: %v", path, err)
	}
	return loaded
}

// checkAddresses: what the configuration names is what the other services offer.
func checkAddresses(t *testing.T, c compose, loaded *config.Config) {
	t.Helper()
	for _, broker := range loaded.Kafka.Brokers {
		if !strings.Contains(c.Services["kafka"].Environment["KAFKA_ADVERTISED_LISTENERS"], "://"+broker) {
			t.Errorf("no listener of Kafka is advertised as %s", broker)
		}
	}
	port := loaded.HTTP.Listen[strings.LastIndexByte(loaded.HTTP.Listen, ':'):]
	if !slices.Contains(c.Services["threadcast"].Ports, "127.0.0.1"+port+port) {
		t.Errorf("threadcast listens on %s, but publishes %q", loaded.HTTP.Listen, c.Services["threadcast"].Ports)
	}
	mounted := slices.Contains(c.Services["threadcast"].Volumes, "state:"+loaded.State.Dir)
	if _, declared := c.Volumes["state"]; !mounted || !declared {
		t.Errorf("the state in %s is in no volume", loaded.State.Dir)
	}
}

// fakeToken is the token that the fake HubSpot accepts by default.
func fakeToken(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`DefaultToken = "([^"]+)"`).FindSubmatch(read(t, "internal/hubspottest/server.go"))
	if found == nil {
		t.Fatalf("the fake HubSpot has no DefaultToken any more")
	}
	return string(found[1])
}

// commands is every command line of the examples that starts one of our binaries.
func commands(t *testing.T) map[string][]string {
	t.Helper()
	lines := map[string][]string{}
	for name, s := range readCompose(t).Services {
		if s.Build == nil {
			continue
		}
		binary := "/usr/local/bin/threadcast"
		if len(s.Entrypoint) > 0 {
			binary = s.Entrypoint[0]
		}
		lines["service "+name] = append([]string{binary}, s.Command...)
	}
	unit := regexp.MustCompile(`(?m)^ExecStart=(.*)$`).FindSubmatch(read(t, "deploy/threadcast.service"))
	lines["threadcast.service"] = strings.Fields(string(unit[1]))
	lines["kubernetes.yaml"] = append([]string{"/usr/local/bin/threadcast"}, container(t).Args...)
	image := regexp.MustCompile(`(?m)^CMD \[(.*)\]$`).FindSubmatch(read(t, "Dockerfile"))
	lines["Dockerfile"] = []string{"/usr/local/bin/threadcast"}
	for word := range strings.SplitSeq(string(image[1]), ", ") {
		lines["Dockerfile"] = append(lines["Dockerfile"], strings.Trim(word, `"`))
	}
	return lines
}

// TestCommandsExist: each example starts a binary that the image has, with a
// command and flags that its sources know.
func TestCommandsExist(t *testing.T) {
	for where, line := range commands(t) {
		binary := filepath.Base(line[0])
		if !strings.Contains(string(read(t, "Dockerfile")), "/out/"+binary) {
			t.Errorf("%s: the image has no %s", where, line[0])
		}
		known := literals(t, filepath.Join(root, "cmd", binary))
		if !known[line[1]] {
			t.Errorf("%s: cmd/%s has no command %q", where, binary, line[1])
		}
		for _, word := range line[2:] {
			if flag, ok := strings.CutPrefix(word, "--"); ok && !known[flag] {
				t.Errorf("%s: cmd/%s has no flag %q", where, binary, word)
			}
		}
	}
}

// literals are the first words of all texts in the sources under a directory:
// names of commands and flags are among them.
func literals(t *testing.T, directory string) map[string]bool {
	t.Helper()
	words := map[string]bool{}
	walkSources(t, directory, func(file *ast.File) {
		ast.Inspect(file, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, _ := strconv.Unquote(literal.Value)
				if first := strings.Fields(text); len(first) > 0 {
					words[first[0]] = true
				}
			}
			return true
		})
	})
	return words
}

func walkSources(t *testing.T, directory string, visit func(*ast.File)) {
	t.Helper()
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			visit(file)
		}
		return err
	})
	if err != nil {
		t.Fatalf("read the sources of %s: %v", directory, err)
	}
}

// TestVersionIsSet: the linker ignores a variable that does not exist, and the
// binary would call itself devel for ever.
func TestVersionIsSet(t *testing.T) {
	set := regexp.MustCompile(`-X main\.(\w+)=`)
	for _, path := range []string{"Dockerfile", "Makefile"} {
		found := set.FindSubmatch(read(t, path))
		if found == nil {
			t.Fatalf("%s sets no version", path)
		}
		if !declares(t, filepath.Join(root, "cmd", "threadcast"), string(found[1])) {
			t.Errorf("%s sets main.%s, which cmd/threadcast does not declare", path, found[1])
		}
	}
}

// declares says whether package main in a directory has a variable of that name.
func declares(t *testing.T, directory, name string) bool {
	t.Helper()
	found := false
	walkSources(t, directory, func(file *ast.File) {
		for _, declaration := range file.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok || group.Tok != token.VAR || file.Name.Name != "main" {
				continue
			}
			for _, spec := range group.Specs {
				for _, identifier := range spec.(*ast.ValueSpec).Names {
					found = found || identifier.Name == name
				}
			}
		}
	})
	return found
}

// TestImageIsBuiltWithTheGoOfTheModule: an older one refuses the module.
func TestImageIsBuiltWithTheGoOfTheModule(t *testing.T) {
	module := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(read(t, "go.mod"))
	if want := "FROM golang:" + string(module[1]) + " AS build"; !strings.Contains(string(read(t, "Dockerfile")), want) {
		t.Errorf("the Dockerfile lacks %q", want)
	}
}

// TestUnitStaysDown: supervisors must not restart what only a person can judge.
func TestUnitStaysDown(t *testing.T) {
	values := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(string(read(t, "deploy/threadcast.service"))))
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(key, "#") {
			values[key] = value
		}
	}
	for key, want := range map[string]string{
		"RestartPreventExitStatus": "74 75 77 78", "Restart": "on-failure", "KillSignal": "SIGTERM", "StateDirectory": "threadcast",
	} {
		if values[key] != want {
			t.Errorf("threadcast.service: %s=%s, want %s", key, values[key], want)
		}
	}
}

type pod struct {
	Kind string            `yaml:"kind"`
	Data map[string]string `yaml:"data"`
	Spec struct {
		Replicas int `yaml:"replicas"`
		Template struct {
			Spec struct {
				Containers []struct {
					Args []string `yaml:"args"`
				} `yaml:"containers"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

func kubernetes(t *testing.T) map[string]pod {
	t.Helper()
	objects := map[string]pod{}
	for document := range strings.SplitSeq(string(read(t, "deploy/kubernetes.yaml")), "\n---\n") {
		var p pod
		if err := yaml.Unmarshal([]byte(document), &p); err != nil {
			t.Fatalf("parse kubernetes.yaml: %v", err)
		}
		objects[p.Kind] = p
	}
	return objects
}

func container(t *testing.T) struct {
	Args []string `yaml:"args"`
} {
	t.Helper()
	containers := kubernetes(t)["StatefulSet"].Spec.Template.Spec.Containers
	if len(containers) != 1 {
		t.Fatalf("the StatefulSet has %d containers, want 1", len(containers))
	}
	return containers[0]
}

func TestKubernetesExample(t *testing.T) {
	objects := kubernetes(t)
	if got := objects["StatefulSet"].Spec.Replicas; got != 1 {
		t.Errorf("%d replicas, want 1: the state belongs to one process", got)
	}
	path := filepath.Join(t.TempDir(), filepath.Base(settings))
	text := objects["ConfigMap"].Data[filepath.Base(settings)]
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatalf("write the configuration: %v", err)
	}
	loaded := load(t, path)
	for _, mount := range []string{loaded.State.Dir, filepath.Dir(loaded.Accounts[0].HubSpot.Auth.TokenFile), filepath.Dir(settings)} {
		if !strings.Contains(string(read(t, "deploy/kubernetes.yaml")), "mountPath: "+mount) {
			t.Errorf("nothing is mounted at %s", mount)
		}
	}
}
