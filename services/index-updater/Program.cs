using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.IndexUpdater;

var builder = WebApplication.CreateBuilder(args);
builder.AddMeshDefaults(AppIds.IndexUpdater);
builder.AddIndexUpdater();

var app = builder.Build();
app.MapMeshDefaults();
app.MapIndexUpdater();
app.Run();
