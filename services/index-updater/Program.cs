using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.IndexUpdater;
using Mesh.IndexUpdater.Shards;

var builder = WebApplication.CreateBuilder(args);
builder.AddMeshDefaults(AppIds.IndexUpdater);
builder.AddIndexUpdater();

var app = builder.Build();
app.MapMeshDefaults();
app.MapIndexUpdater();
var shards = app.Services.GetRequiredService<ShardNumberCheck>();
app.Run();
return shards.Fault is null ? 0 : 1;
