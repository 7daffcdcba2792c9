package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/threadcast/threadcast/internal/pipeline"
)

func (p *program) topicsCommand() *cobra.Command {
	create := &cobra.Command{
		Use:   "create",
		Short: "Create the topics that are missing, with the configured partitions and replicas",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return p.createTopics(cmd.Context()) },
	}
	return group("topics", "Topics that events go to", create)
}

// createTopics says of each topic what became of it.
func (p *program) createTopics(ctx context.Context) error {
	cfg, err := p.loadAndWarn()
	if err != nil {
		return err
	}
	created, err := pipeline.CreateTopics(ctx, cfg)
	if err != nil {
		return err
	}
	for _, name := range cfg.Kafka.TopicNames() {
		line := "already there  " + name
		if slices.Contains(created, name) {
			line = fmt.Sprintf("created        %s  partitions %d, replication factor %d", name, cfg.Kafka.Partitions, cfg.Kafka.ReplicationFactor)
		}
		if _, err := fmt.Fprintln(p.stdout, line); err != nil {
			return fmt.Errorf("print a topic: %w", err)
		}
	}
	return nil
}
