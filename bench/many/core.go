package main

import (
	"context"
	"maps"
	"os"
	"sync"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"cutover/config"
	"cutover/internal/cdk"
	"cutover/stacks"
)

// core synthesizes the stacks of bench/peer/app.js.
func core(d config.Deployment) error {
	cdk.Prepare()
	jsii.Close() // see Prepare
	defer jsii.Close()
	values, err := config.ContextFromEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	d, settings, err := config.Load(d, values, os.Getenv)
	if err != nil {
		return err
	}
	contexts := sync.OnceValues(func() (map[string]string, error) { return stacks.Images(context.Background(), d.All(), settings.Arch) })
	go contexts()
	context := map[string]any{"aws:cdk:disable-creation-stack-traces": true}
	maps.Copy(context, values)
	app := awscdk.NewApp(&awscdk.AppProps{AnalyticsReporting: jsii.Bool(false), Context: &context})
	if err := stacks.AddCore(app, d, settings, contexts); err != nil {
		return err
	}
	app.Synth(nil)
	return nil
}
