using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Ranker;

var builder = WebApplication.CreateBuilder(args);
builder.AddMeshDefaults(AppIds.Ranker);   // telemetry, health, JSON, sidecar clients
builder.AddRanker();                      // scorers, weights

var app = builder.Build();
app.MapMeshDefaults();                    // /healthz, /readyz, /metrics
app.MapRanker();                          // POST score, GET status
app.Run();
