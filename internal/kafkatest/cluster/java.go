package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// leastJava is what Apache Kafka 4 needs.
const leastJava = 17

// Java is a Java runtime that is new enough.
type Java struct{ path string }

// FindJava looks in JAVA_HOME, then on the PATH.
func FindJava(ctx context.Context) (Java, error) {
	path := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		path = filepath.Join(home, "bin", "java")
	}
	said, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil {
		return Java{}, fmt.Errorf("a real broker needs Java %d or newer, in JAVA_HOME or on the PATH: %w", leastJava, err)
	}
	if major := majorVersion(string(said)); major < leastJava {
		return Java{}, fmt.Errorf("a real broker needs Java %d or newer, %s is version %d", leastJava, path, major)
	}
	return Java{path}, nil
}

// majorVersion reads `openjdk version "17.0.15" 2025-04-15`; 1.8 counts as 1.
func majorVersion(said string) int {
	match := regexp.MustCompile(`version "(\d+)`).FindStringSubmatch(said)
	if match == nil {
		return 0
	}
	major, _ := strconv.Atoi(match[1])
	return major
}

// Libs is a directory with the jars of a version of Apache Kafka: from the cache
// (the user's, if empty), or fetched by Maven into it. A directory that exists is
// complete, as it gets its name last.
func Libs(ctx context.Context, cache, version string) (string, error) {
	if !regexp.MustCompile(`^\d+(\.\d+)+$`).MatchString(version) {
		return "", fmt.Errorf("%q is not a version of Apache Kafka", version)
	}
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find the cache for Kafka's jars: %w", err)
		}
		cache = filepath.Join(user, "threadcast")
	}
	libs := filepath.Join(cache, "kafka-"+version)
	if _, err := os.Stat(libs); err == nil {
		return libs, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	if err := fetchLibs(ctx, cache, libs, version); err != nil {
		return "", fmt.Errorf("fetch Apache Kafka %s from Maven Central: %w", version, err)
	}
	return libs, nil
}

func fetchLibs(ctx context.Context, cache, libs, version string) error {
	work, err := os.MkdirTemp(cache, "fetching-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	pom := strings.ReplaceAll(pomTemplate, "VERSION", version)
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), []byte(pom), 0o600); err != nil {
		return err
	}
	fresh := filepath.Join(work, "libs")
	command := exec.CommandContext(ctx, "mvn", "-B", "-q", "-Dstyle.color=never", "dependency:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+fresh)
	command.Dir = work
	said, err := command.CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("mvn (Apache Maven) is not on the PATH: %w", err)
	case err != nil:
		return fmt.Errorf("%w: %s", err, lastLines(said))
	}
	if err := os.Rename(fresh, libs); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

const pomTemplate = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>threadcast</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>VERSION</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka-tools</artifactId>
      <version>VERSION</version>
    </dependency>
  </dependencies>
</project>
`
