package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/threadcast/threadcast/internal/hubspottest"
	"github.com/threadcast/threadcast/internal/thread"
)

// Bounds of the flags.
const (
	minLength  = 2 * time.Second
	mostShown  = 20_000    // threads of the demo: more take longer to discover than to watch
	mostServed = 2_000_000 // threads of the fake alone: 88 bytes each
	// fastest is the demo's rate in mutations a second: many are confirmed by a call of
	// their own, and what a plan leaves for those is soon spent.
	fastest  = 10.0
	mostRate = 1000.0 // mutations a second of the fake alone
)

// newCommand is the command line.
func newCommand(s surroundings) *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:   "demo",
		Short: "A busy support inbox, threadcast, Kafka and a consumer in one process",
		Long: "demo plays a busy support inbox in a fake HubSpot, lets threadcast publish what changes to Kafka,\n" +
			"prints what a consumer reads there, and checks it against the fake's own log.\n" +
			"Exit code 0: nothing was lost, invented, repeated or out of order; 70: something was.",
		Args:              cobra.NoArgs,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		PreRunE:           func(*cobra.Command, []string) error { return o.check() },
		RunE: func(command *cobra.Command, _ []string) error {
			return failed(play(command.Context(), s, o))
		},
	}
	flags := command.Flags()
	flags.DurationVar(&o.length, "for", 0, "end by itself after this time; otherwise with Ctrl-C")
	flags.StringSliceVar(&o.brokers, "brokers", nil, "host:port of a real Kafka; otherwise a broker inside the process")
	flags.BoolVar(&o.json, "json", false, "one JSON object a line, for machines")
	flags.IntVar(&o.inbox.threads, "threads", 200, "threads that are there at the start")
	flags.Float64Var(&o.inbox.rate, "rate", 4, "mutations a second, on average")
	flags.Uint64Var(&o.inbox.seed, "seed", 1, "of chance: the same seed gives the same play")
	command.AddCommand(newHubSpotCommand(s))
	return command
}

// options of the demo.
type options struct {
	length  time.Duration // 0: until it is interrupted
	brokers []string
	json    bool
	inbox   inboxOptions
}

func (o *options) check() error {
	if o.length != 0 && o.length < minLength {
		return fmt.Errorf("--for %v is too short: want %v or more", o.length, minLength)
	}
	for _, broker := range o.brokers {
		if _, _, err := net.SplitHostPort(broker); err != nil {
			return fmt.Errorf("--brokers %q: want host:port", broker)
		}
	}
	o.inbox.listen, o.inbox.account, o.inbox.token = "127.0.0.1:0", hubspottest.DefaultAccount, hubspottest.DefaultToken
	o.inbox.plan = "professional"
	o.inbox.spacing, o.inbox.length, o.inbox.quiet = spacing(o.inbox.threads), 0, 0
	return o.inbox.check(mostShown, fastest)
}

func newHubSpotCommand(s surroundings) *cobra.Command {
	var o hubspotOptions
	command := &cobra.Command{
		Use:   "hubspot",
		Short: "The fake HubSpot alone: a busy support inbox behind HubSpot's API",
		Long: "hubspot serves the read side of HubSpot's conversations API and prints one line for each thing that happens.\n" +
			"With --json a line has the whole thread before and after: the truth to compare events with.",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		PreRunE:       func(*cobra.Command, []string) error { return o.check() },
		RunE: func(command *cobra.Command, _ []string) error {
			return failed(serve(command.Context(), s, o))
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.listen, "listen", "127.0.0.1:18080", "address to serve")
	flags.StringVar(&o.account, "account", hubspottest.DefaultAccount, "id of the account, in digits")
	flags.StringVar(&o.token, "token", hubspottest.DefaultToken, "bearer token that is accepted")
	flags.StringVar(&o.plan, "plan", "professional", "whose call limits hold: free, professional, enterprise, none")
	flags.DurationVar(&o.length, "for", 0, "end by itself after this time; otherwise with Ctrl-C")
	flags.DurationVar(&o.quiet, "quiet", 0, "nothing happens in this time before the end")
	flags.DurationVar(&o.spacing, "spacing", 10*time.Second, "shortest time between two mutations of one thread")
	flags.BoolVar(&o.json, "json", false, "one JSON object a line, for machines")
	flags.IntVar(&o.threads, "threads", 200, "threads that are there at the start")
	flags.Float64Var(&o.rate, "rate", 4, "mutations a second, on average")
	flags.Uint64Var(&o.seed, "seed", 1, "of chance: the same seed gives the same play")
	return command
}

// hubspotOptions are those of the fake alone.
type hubspotOptions struct {
	inboxOptions
	json bool
}

func (o *hubspotOptions) check() error {
	if id, err := thread.ParseID(o.account); err != nil || id.String() != o.account {
		return fmt.Errorf("--account %q: want digits", o.account)
	}
	if o.token == "" {
		return errors.New("--token is empty")
	}
	if _, _, err := net.SplitHostPort(o.listen); err != nil {
		return fmt.Errorf("--listen %q: want host:port", o.listen)
	}
	if o.length < 0 || o.quiet < 0 || o.spacing < 0 {
		return errors.New("--for, --quiet and --spacing cannot be negative")
	}
	if o.length > 0 && o.quiet >= o.length {
		return fmt.Errorf("--quiet %v leaves nothing of --for %v", o.quiet, o.length)
	}
	return o.inboxOptions.check(mostServed, mostRate)
}
