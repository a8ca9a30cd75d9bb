using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.SequenceStore;

var builder = WebApplication.CreateBuilder(args);
builder.AddMeshDefaults(AppIds.SequenceStore);   // telemetry, health, JSON, sidecar clients
builder.AddSequenceStore();                      // logs, profiles, request log, the UserSequence actor

var app = builder.Build();
app.MapMeshDefaults();                           // /healthz, /readyz, /metrics, /dapr/subscribe
app.MapSequenceStore();                          // endpoints, topics, actor routes
app.Run();
