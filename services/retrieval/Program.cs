using Mesh.Contracts;
using Mesh.Hosting;
using Mesh.Retrieval;

var builder = WebApplication.CreateBuilder(args);
builder.AddMeshDefaults(AppIds.Retrieval);
builder.AddRetrieval();

var app = builder.Build();
app.MapMeshDefaults();
app.MapRetrieval();
app.Run();
