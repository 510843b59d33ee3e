package cost

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

//go:embed prices.json
var priceFile []byte

// pricesPath is where a price is added.
const pricesPath = "internal/analysis/cost/prices.json"

// prices is prices.json. All are US dollars.
var prices = func() (list struct {
	Date      string
	Region    string
	Hours     int
	Instances struct {
		Source string
		Prices map[string]float64 // of the types of package capacity
	}
	Volumes struct {
		Source string
		Prices map[string]float64
	}
	// Fargate has the prices of an hour: of a vCPU and a GB of memory by architecture ("x86" or "arm"),
	// and of a GB of storage above the first FreeStorageGB of a task. SpotPercentOff is what Spot takes off.
	Fargate struct {
		Source, SpotSource            string
		VCPU, Memory                  map[string]float64
		Storage                       float64
		FreeStorageGB, SpotPercentOff int
	}
	// ProvisionedConcurrency has the price of a GB of memory and second by architecture ("x86" or "arm").
	ProvisionedConcurrency struct {
		Source string
		Prices map[string]float64
	}
	Fixed   map[string]fixed
	Traffic map[string]struct { // depend on traffic
		Price       float64
		For, Source string
	}
}) {
	decoder := json.NewDecoder(bytes.NewReader(priceFile))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&list); err != nil {
		panic(fmt.Sprintf("%s: %v", pricesPath, err)) // a mistake in this repository
	}
	return list
}()

// fixed is the price of something that costs as long as it exists, by the hour or by the month. The
// first Free things of an account cost nothing. An estimate assumes that the account has no others.
type fixed struct {
	Hour, Month float64
	Free        int
	Source      string
}

// Cents is an amount in hundredths of a US dollar. Lines are rounded, so that a table adds up.
type Cents int64

func (c Cents) String() string {
	sign := ""
	if c < 0 {
		sign, c = "-", -c
	}
	return fmt.Sprintf("%s%d.%02d", sign, c/100, c%100)
}

// MarshalJSON writes dollars.
func (c Cents) MarshalJSON() ([]byte, error) { return []byte(c.String()), nil }

// amount counts in billionths of a dollar, so that no half cent is lost to a binary fraction.
func amount(quantity int, price float64) Cents {
	return Cents((int64(quantity)*int64(math.Round(price*1e9)) + 5e6) / 1e7)
}

// About says for what an estimate holds: the month, the region, the prices.
func About() string {
	date, err := time.Parse("2006-01", prices.Date)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", pricesPath, err))
	}
	return fmt.Sprintf("a month of %d hours in %s at list prices of %s, without traffic", prices.Hours, prices.Region, date.Format("January 2006"))
}

func count(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// each writes a number of units and the price of one.
func each(n int, price float64, unit string) string {
	if n == 1 {
		return decimal(price) + unit
	}
	return fmt.Sprintf("%d × %s%s", n, decimal(price), unit)
}

// decimal writes a price with its decimals, two at least.
func decimal(price float64) string {
	text := strconv.FormatFloat(price, 'f', -1, 64)
	if whole, fraction, _ := strings.Cut(text, "."); len(fraction) < 2 {
		return fmt.Sprintf("%s.%s", whole, (fraction + "00")[:2])
	}
	return text
}
