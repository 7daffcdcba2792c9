module github.com/threadcast/threadcast

go 1.26.0

require (
	buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go v1.36.12-20260825204119-511051f7f437.1 // the rule options that the generated contract refers to
	buf.build/go/protovalidate v1.4.0 // validates every event before it is stored; the current import path of github.com/bufbuild/protovalidate-go
	github.com/bufbuild/protocompile v0.14.1 // tests: reads the rule-free copies of the contract
	github.com/cenkalti/backoff/v4 v4.3.0 // retries towards HubSpot and Kafka
	github.com/go-faster/jx v1.2.0 // decodes HubSpot's JSON leniently and without float64
	github.com/klauspost/compress v1.20.3 // inflates HubSpot's answers faster than the standard library
	github.com/knadh/koanf/providers/confmap v1.0.1 // merges the configuration's layers
	github.com/knadh/koanf/providers/env/v2 v2.0.2 // configuration from the environment
	github.com/knadh/koanf/v2 v2.4.1 // configuration
	github.com/prometheus/client_golang v1.25.0 // metrics
	github.com/rogpeppe/go-internal v1.16.0 // tests: scripts of the command line
	github.com/segmentio/kafka-go v0.4.51 // speaks to Kafka
	github.com/spf13/cobra v1.10.2 // command line and shell completion
	github.com/twmb/franz-go v1.22.2 // demo and tests: a Kafka client that is not the one under test
	github.com/twmb/franz-go/pkg/kfake v0.0.0-20260918054303-01f206a7e32c // demo and tests: a broker in the process
	github.com/twmb/franz-go/pkg/kmsg v1.15.0 // tests: Kafka's messages, to check our encoding against
	github.com/zeebo/xxh3 v1.1.0 // hashes each thread's bytes, to decode only what differs
	go.etcd.io/bbolt v1.5.0 // the state file
	go.yaml.in/yaml/v3 v3.0.5 // YAML with line numbers for error messages
	golang.org/x/sync v0.24.0 // errgroup: goroutines that end together
	google.golang.org/protobuf v1.36.12 // the events
)

require (
	cel.dev/cel-go v0.32.0 // indirect
	cel.dev/expr v0.25.3 // indirect
	github.com/antlr4-go/antlr/v4 v4.13.1 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/go-faster/errors v0.7.1 // indirect
	github.com/go-viper/mapstructure/v2 v2.4.0 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/klauspost/cpuid/v2 v2.2.10 // indirect
	github.com/knadh/koanf/maps v0.1.2 // indirect
	github.com/mitchellh/copystructure v1.2.0 // indirect
	github.com/mitchellh/reflectwalk v1.0.2 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/segmentio/asm v1.2.1 // indirect
	github.com/spf13/pflag v1.0.10 // indirect
	github.com/twmb/franz-go/pkg/kadm v1.19.0 // indirect
	golang.org/x/exp v0.0.0-20260820142414-ca536658362e // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	golang.org/x/tools v0.49.0 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20260819154853-08b0e4226688 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260819154853-08b0e4226688 // indirect
)
