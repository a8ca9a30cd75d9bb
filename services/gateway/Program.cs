using Mesh.Contracts;
using Mesh.Gateway;
using Mesh.Hosting;

var builder = WebApplication.CreateBuilder(args);
builder.AddMeshDefaults(AppIds.Gateway);
builder.AddGateway();

var app = builder.Build();
app.UseGatewayEdge();
app.MapMeshDefaults(requireApiToken: false);
app.MapGateway();
app.Run();
