// Package rest calls the REST APIs of services.
package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const (
	// maxText is how much of a service's own text an error shows.
	maxText = 1 << 10
	// maxBytes is more than any of these services answers: another program may be there.
	maxBytes = 16 << 20
)

// Client is what sends requests, such as http.DefaultClient.
type Client interface {
	Do(*http.Request) (*http.Response, error)
}

// Call returns the body of what a service answers, as JSON if it has the choice. A status that
// is no success is an error with the service's own text.
func Call(ctx context.Context, client Client, method, url, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, */*;q=0.5")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBytes+1))
	if err == nil && len(data) > maxBytes {
		err = fmt.Errorf("%s %s: an answer of more than %d bytes", method, url, maxBytes)
	}
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, data[:min(len(data), maxText)])
	}
	return data, err
}

// Get decodes the JSON that a service answers.
func Get(ctx context.Context, url string, to any) error {
	data, err := Call(ctx, http.DefaultClient, http.MethodGet, url, "")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, to); err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	return nil
}
