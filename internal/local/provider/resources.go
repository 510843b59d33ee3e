package provider

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Resources are resources by their keys, "stack/logical id". A set is never changed, so it may be
// read by several goroutines.
type Resources[T any] map[string]T

// StackOf is the stack in a resource's key.
func StackOf(key string) string {
	stack, _, _ := strings.Cut(key, "/")
	return stack
}

// Keys are the keys, sorted by stack and then by logical id.
func (r Resources[T]) Keys() []string {
	return slices.SortedFunc(maps.Keys(r), func(a, b string) int {
		return cmp.Or(strings.Compare(StackOf(a), StackOf(b)), strings.Compare(a, b))
	})
}

// Of are the resources of a stack.
func (r Resources[T]) Of(stack string) Resources[T] {
	of := maps.Clone(r)
	maps.DeleteFunc(of, func(key string, _ T) bool { return StackOf(key) != stack })
	return of
}

// Updated replaces the resources of a stack that are in next, and keeps the stack's other
// resources.
func (r Resources[T]) Updated(stack string, next Resources[T]) Resources[T] {
	updated := Resources[T]{}
	maps.Copy(updated, r)
	maps.Copy(updated, next.Of(stack))
	return updated
}

// Cleaned leaves out the resources of a stack that are not in next.
func (r Resources[T]) Cleaned(stack string, next Resources[T]) Resources[T] {
	cleaned := maps.Clone(r)
	maps.DeleteFunc(cleaned, func(key string, _ T) bool {
		_, kept := next[key]
		return StackOf(key) == stack && !kept
	})
	return cleaned
}

// Account and Region are those of this machine, for a stack that leaves them to the deployment. No
// endpoint of AWS has the region's name.
const Account, Region = "000000000000", "local"

// ARN is the ARN of a resource on this machine.
func ARN(service, path string) string {
	return "arn:aws:" + service + ":" + Region + ":" + Account + ":" + path
}
