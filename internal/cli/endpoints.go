package cli

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

var topicName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,249}$`)

// Brokers returns the brokers of a comma-separated list, without the spaces around
// them.
func Brokers(flag, list string) ([]string, error) {
	brokers := strings.Split(list, ",")
	for i, addr := range brokers {
		brokers[i] = strings.TrimSpace(addr)
		if brokers[i] == "" {
			return nil, fmt.Errorf("%s=%q: broker %d is empty: write HOST:PORT, or several with a comma between two", flag, list, i+1)
		}
		if err := CheckAddr(flag, brokers[i]); err != nil {
			return nil, err
		}
	}
	return brokers, nil
}

// CheckTopic returns an error unless Kafka takes the name for a topic.
func CheckTopic(flag, topic string) error {
	if !topicName.MatchString(topic) || topic == "." || topic == ".." {
		return fmt.Errorf("%s: %q cannot be a topic: names have 1 to 249 of the characters A-Z a-z 0-9 . _ -", flag, topic)
	}
	return nil
}

// CheckAddr returns an error unless addr is HOST:PORT.
func CheckAddr(flag, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.Atoi(port)
	if err != nil || host == "" || strings.ContainsAny(host, " \t\n/@") || perr != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%s: %q must be HOST:PORT, such as localhost:9092", flag, addr)
	}
	return nil
}

// Listen listens where a flag says. That the port is taken may pass; anything else is wrong usage.
func Listen(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s=%s: something listens there already, maybe the same program: choose another port", flag, addr)
	case err != nil:
		return nil, Usagef("%s=%s: %w", flag, addr, err)
	}
	return l, nil
}

// CheckSize reads WIDTHxHEIGHT.
func CheckSize(flag, size string) (width, height int, err error) {
	w, h, _ := strings.Cut(size, "x")
	width, werr := strconv.Atoi(w)
	height, herr := strconv.Atoi(h)
	if werr != nil || herr != nil {
		return 0, 0, fmt.Errorf("%s=%s: it must be WIDTHxHEIGHT in pixels, such as 640x480", flag, size)
	}
	return width, height, nil
}
