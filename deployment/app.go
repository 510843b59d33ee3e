// Package deployment lists what is deployed.
package deployment

// App is what is deployed. To deploy your own app, write your own list of services here.
var App = Forum
