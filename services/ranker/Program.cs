using Mesh.Contracts;
using Mesh.Hosting;

var builder = WebApplication.CreateBuilder(args);
builder.AddMeshDefaults(AppIds.Ranker);

var app = builder.Build();
app.MapMeshDefaults();
app.Run();
