# One image with the service and the demo; the compose file runs the fake HubSpot
# out of the latter. Build: docker build --build-arg VERSION=$(git describe --tags --always) .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=devel
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.version=${VERSION}" -o /out/ ./cmd/threadcast ./cmd/demo \
    && mkdir /out/state

# Nothing but certificates, a user without rights and the two binaries.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/threadcast /out/demo /usr/local/bin/
# A volume that is mounted here for the first time takes over this owner.
COPY --from=build --chown=65532:65532 /out/state /var/lib/threadcast
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/threadcast"]
CMD ["run", "--config", "/etc/threadcast/threadcast.yaml"]
