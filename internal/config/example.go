package config

// Starter is the least that works: what a person copies who has no file yet.
const Starter = `accounts:
  acme:                          # a label of your choice: a-z, 0-9, _
    hubspot:
      auth: {token_env: HUBSPOT_TOKEN}
kafka:
  brokers: ["localhost:9092"]
  create_topics: true
  replication_factor: 1          # 3 on a cluster
`

// Example is every key with what it is for; optional ones with their defaults.
const Example = `# Every key can also come from the environment: THREADCAST_KAFKA__BROKERS=a:9092,b:9092
# Relative paths are relative to the directory of this file.
defaults: {}                     # any key of an account, for all accounts

accounts:
  acme:                          # a label: a-z, 0-9, _; it names the account in logs, metrics and files
    hubspot:
      base_url: https://api.hubapi.com
      api_version: auto          # 2026-09-beta, 2026-09, v3 or auto
      auth:                      # exactly one of the two
        token_env: HUBSPOT_TOKEN # name of an environment variable
        # token_file: token.txt  # re-read when it changes
      # account_id: "12345"      # required only where HubSpot will not tell it
      inboxes: []                # ids; empty: all
    quota:
      daily_share: 0.5           # of the daily allowance, which all apps of the account share
      burst_share: 0.5           # of the ten-second allowance
      max_calls_per_second: 18
      daily_limit: 250000        # calls a day, where HubSpot announces none
    lanes:                       # shortest time between two starts of a cycle; the quota may stretch it
      recent: {every: 10s}       # new messages and threads
      full: {every: 30s}         # everything
    lists_may_lag: 2m            # how far HubSpot's lists may be behind its single threads
    first_run: publish           # or record: keep silently what is there, publish from now on

state: {dir: state}              # one file an account; losing it stops the account

kafka:
  brokers: ["localhost:9092"]
  topic_prefix: hubspot.threads  # topics are PREFIX.KIND.v1
  topics: {}                     # KIND: another.name; kinds may share a topic
  kinds: [lifecycle, status, assignment, closure]  # and activity, off by default
  create_topics: false           # true: missing topics are created with the two figures below
  partitions: 3
  replication_factor: 3
  transactional_id_prefix: threadcast
  delivery: fenced
  heartbeat_every: 5m            # at most 1h

http: {listen: "127.0.0.1:9464"} # /metrics /healthz /readyz; "": off
log: {level: info, format: text} # debug, info, warn, error; text, json
`
